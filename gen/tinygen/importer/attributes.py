# SPDX-License-Identifier: Apache-2.0
"""What tinygen does not compute of an operator that it knows: the attribute, its value, a remedy.

Said where a node is read, so that no rule has to: an operator that none of these refuses means what
`upgraded` makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto

from tinygen.graph import Value

Attrs = Mapping[str, Any]


@dataclass(frozen=True)
class Inputs:
    """values: None for one left out.  live: whether it is computed from the model's input."""

    values: Sequence[Value | None]
    live: Sequence[bool]


Check = Callable[[Attrs, Inputs], str]

FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE)
EXTRA = {
    "Dropout": "the mask",
    "BatchNormalization": "running statistics",
    "LayerNormalization": "the mean or the deviation",
    "MaxPool": "indices",
    "Attention": "the cache or the scores",
}
"""What further outputs of an operator hold."""


def extra(kind: str, outputs: Sequence[str]) -> str:
    """The end of a sentence about a node whose further outputs are read, or nothing."""
    if kind in EXTRA and len(outputs) > 1:
        return f"has {EXTRA[kind]} as a second output, {outputs[1]}: use its first output only"
    return ""


def refusal(kind: str, attrs: Attrs, inputs: Inputs) -> str:
    """The end of a sentence about a node that is not computed as it stands, or nothing."""
    check = CHECKS.get(kind)
    return check(attrs, inputs) if check is not None else ""


def _value(inputs: Inputs, place: int) -> Value | None:
    return inputs.values[place] if len(inputs.values) > place else None


def _data(inputs: Inputs, place: int) -> Any:
    """The elements of a constant input; None where it is computed or left out."""
    value = _value(inputs, place)
    return None if value is None else value.data


def _live(inputs: Inputs, place: int) -> bool:
    return len(inputs.live) > place and inputs.live[place]


def _rank(inputs: Inputs, place: int = 0) -> int:
    value = _value(inputs, place)
    return 0 if value is None else len(value.shape)


def _constant(*names: str) -> Check:
    """These inputs, after the first, are constants."""

    def check(attrs: Attrs, inputs: Inputs) -> str:
        for place, name in enumerate(names, start=1):
            if _live(inputs, place):
                return f"computes its {name} at run time: export it as a constant"
        return ""

    return check


def _all(*checks: Check) -> Check:
    return lambda attrs, inputs: next((s for c in checks if (s := c(attrs, inputs))), "")


def _cast(attrs: Attrs, inputs: Inputs) -> str:
    to = attrs.get("to")
    if to in FLOATS:
        return ""
    name = TensorProto.DataType.Name(to).lower() if to in TensorProto.DataType.values() else to
    return f"has to={name}: keep activations in float32"


def _training(attrs: Attrs, inputs: Inputs) -> str:
    if attrs.get("training_mode", 0):
        return "has training_mode=1: export the model in evaluation mode"
    return ""


def _dropout(attrs: Attrs, inputs: Inputs) -> str:
    mode = _data(inputs, 2)
    if _live(inputs, 2) or (mode is not None and bool(np.any(mode))):
        return "has training_mode=1: export the model in evaluation mode"
    return ""


def _layer_norm(attrs: Attrs, inputs: Inputs) -> str:
    if attrs.get("stash_type", 1) not in FLOATS:
        return (
            f"has stash_type={attrs['stash_type']}, which computes in less than float32: export it "
            "with stash_type=1"
        )
    return ""


def _window(attrs: Attrs, inputs: Inputs) -> str:
    space = _rank(inputs) - 2
    if space not in (1, 2):
        return f"has {space} dimensions in space: use 1 or 2"
    return ""


def _convolution(attrs: Attrs, inputs: Inputs) -> str:
    source = _value(inputs, 0)
    if source is not None and source.shape[0] != 1:
        return f"has batch {source.shape[0]}: put it into space, or export with batch 1"
    return _window(attrs, inputs)


def _max_pool(attrs: Attrs, inputs: Inputs) -> str:
    if any(d != 1 for d in attrs.get("dilations") or []):
        return f"has dilations={list(attrs['dilations'])}: use plain windows"
    return _window(attrs, inputs)


def _linear_quantisation(attrs: Attrs, inputs: Inputs) -> str:
    if attrs.get("block_size"):
        return (
            f"has block_size={attrs['block_size']}, a scale for each block: quantise weights per "
            "tensor or per channel, and activations per tensor"
        )
    scale = _value(inputs, 1)
    if _live(inputs, 0) and scale is not None and np.prod(scale.shape) > 1:
        return (
            "quantises an activation per channel, which has no integer form: quantise activations "
            "per tensor"
        )
    for what in (_data(inputs, 0), _data(inputs, 2)):
        if what is not None and what.dtype.name.startswith("float8"):
            return f"has integers in {what.dtype.name}: use int8"
    for key in ("output_dtype", "precision"):
        to = attrs.get(key, 0)
        integers = (*range(2, 7), 21, 22) if key == "output_dtype" else ()
        if to not in (0, *FLOATS, *integers):
            name = TensorProto.DataType.Name(to).lower()
            return f"has {key}={name}: use int8 and float32"
    return ""


def _attention(attrs: Attrs, inputs: Inputs) -> str:
    if attrs.get("softcap", 0):
        return f"has softcap={attrs['softcap']:g}: tinygen takes scores that are not capped"
    if attrs.get("softmax_precision", 1) not in FLOATS:
        name = TensorProto.DataType.Name(attrs["softmax_precision"]).lower()
        return f"has softmax_precision={name}: use float32"
    cache = [n for i, n in ((4, "past_key"), (5, "past_value")) if _value(inputs, i)]
    if cache:
        return f"has a cache ({cache[0]}): tinygen takes encoders, which have none"
    if _value(inputs, 6) is not None:
        return "has nonpad_kv_seqlen, a length given at run time: export with a fixed length"
    if _live(inputs, 3):
        return "computes its attn_mask at run time: export it as a constant"
    return ""


CHECKS: Mapping[str, Check] = {
    "Cast": _cast,
    "BatchNormalization": _all(_training, _constant("scale", "bias", "mean", "variance")),
    "Dropout": _dropout,
    "LayerNormalization": _all(_layer_norm, _constant("scale", "bias")),
    "Clip": _constant("min", "max"),
    "Conv": _all(_convolution, _constant("weight", "bias")),
    "MaxPool": _max_pool,
    "AveragePool": _convolution,
    "RMSNormalization": _all(_layer_norm, _constant("scale")),
    "Slice": _constant("starts", "ends", "axes", "steps"),
    "QuantizeLinear": _linear_quantisation,
    "DequantizeLinear": _linear_quantisation,
    "Attention": _attention,
    **{
        f"Reduce{r}": _constant("axes")
        for r in ("Max", "Mean", "Min", "Sum", "Prod", "SumSquare", "L1", "L2")
    },
}
