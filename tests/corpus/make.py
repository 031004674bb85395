# SPDX-License-Identifier: Apache-2.0
"""Make the corpus: exporter x quantiser x architecture, each a small trained encoder.

Needs the extras `train` and, for two of the quantisers, torchao and brevitas. Tests only read what
it writes: NAME.onnx, and in NAME.npz samples ``x`` (float16), onnxruntime's outputs ``logits`` and
the float model's ``real`` for them, and labels ``y`` where the data are real.
Run `python tests/corpus/make.py [NAME...]`.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import real_data
import torch
from nets import CLASSES, Encoder, Net, input_shape
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn

from tinygen.fidelity import onnx_outputs

HERE = Path(__file__).resolve().parent / "models"
SAMPLES, CALIBRATION, TRAINING, STEPS = 256, 64, 512, 120


@dataclass(frozen=True)
class Made:
    """exporter: legacy14, legacy17, dynamo18, 20, 23.  quantiser: see `QUANTISERS`."""

    exporter: str
    quantiser: str
    net: str

    @property
    def name(self) -> str:
        return f"{self.exporter}-{self.quantiser}-{self.net}"


NETS = {
    "base": Net(),
    "post": Net(norm="post", act="relu", patches="conv1d", pool="class"),
    "chunk": Net("chunk", act="tanh"),
    "slice": Net("slice", norm="post"),
    "gather": Net("gather", act="relu"),
    "mul": Net("mul", norm="post", pool="last"),
    "mul_q": Net("mul_q", act="silu", patches="overlap"),
    "mul_both": Net("mul_both", act="hardswish"),
    "sdpa": Net("sdpa", patches="conv2d", pool="class"),
    "mha": Net("mha"),
    "layer": Net("layer", norm="post", act="relu"),
    "layer_pre": Net("layer", norm="pre", act="gelu", pool="class", patches="conv1d"),
    "deep": Net(depth=3, act="relu"),
    "one_head": Net(heads=1),
    "four_heads": Net(heads=4, pool="class"),
    "nobias": Net(bias=False, patches="conv1d"),
    "batchnorm": Net(norm="batch", act="relu"),
    "stem": Net(patches="deep", act="relu"),
    "plain": Net(plain=True, act="relu"),
    "slim": Net(act="silu"),
    "post_linear": Net(norm="post", act="relu"),
    "mask": Net(mask="bias"),
    "causal": Net(mask="causal", pool="last"),
    "padding": Net(mask="padding", norm="post", act="relu"),
    "sdpa_causal": Net("sdpa", mask="causal", pool="last"),
    "max": Net(pool="max"),
    "maxpool": Net(patches="maxpool"),
    "ids": Net(patches="ids"),
}
QDQ = {
    "qdq": {},
    "tensor": {"per_channel": False},
    "raw": {"prepared": False},
    "asym": {"symmetric": False},
    "uint8": {"kind": QuantType.QUInt8, "symmetric": False},
    "default": {"kind": QuantType.QUInt8, "symmetric": False, "softmax": True},
    "softmax": {"softmax": True},
    "qop": {"format": QuantFormat.QOperator},
    "qop_uint8": {
        "format": QuantFormat.QOperator,
        "kind": QuantType.QUInt8,
        "symmetric": False,
        "softmax": True,
    },
}
QUANTISERS = (*QDQ, "xnnpack", "x86", "brevitas", "quantlib", "quantlib_ops")


def corpus() -> list[Made]:
    """Every exporter with every ORT form, every architecture with several, PT2E and Brevitas."""
    out = [Made("dynamo20", "qdq", net) for net in NETS]
    for exporter in ("legacy14", "legacy17", "dynamo18", "dynamo23"):
        nets = ("base", "sdpa", "layer", "gather") if exporter != "legacy14" else ("base", "slice")
        out += [Made(exporter, "qdq", net) for net in nets]
    out += [Made("dynamo23", "qdq", "mha"), Made("legacy17", "qdq", "mha")]
    for quantiser in QDQ:
        if quantiser != "qdq":
            out += [Made("dynamo20", quantiser, net) for net in ("base", "post")]
    out += [Made("dynamo20", "qop", net) for net in ("chunk", "mha", "mul_q", "batchnorm")]
    out += [Made("legacy17", q, "post") for q in ("raw", "asym", "qop", "qop_uint8")]
    for quantiser in ("xnnpack", "x86"):
        out += [Made("dynamo20", quantiser, n) for n in ("base", "post", "chunk", "mul_q", "layer")]
    out += [Made("legacy17", "brevitas", net) for net in ("base", "slim", "deep", "post_linear")]
    masked = ("dynamo23", "qdq", "sdpa_causal"), ("legacy17", "qdq", "sdpa_causal")
    masked += ("dynamo20", "xnnpack", "causal"), ("dynamo20", "qop", "padding")
    out += [Made(*names) for names in masked]
    out += [Made(e, q, "ids") for e, q in (("legacy17", "qdq"), ("dynamo20", "uint8"))]
    out += [Made("dynamo20", q, "ids") for q in ("qop", "xnnpack", "x86")]
    out += [Made("dynamo20", "qdq", net) for net in real_data.NETS]
    nets = ("base", "post", "post_linear", "one_head")
    out += [Made("hand10", "quantlib", net) for net in nets]
    out += [Made("hand10", "quantlib_ops", net) for net in ("base", "post")]
    return list(dict.fromkeys(out))


def data(net: Net, count: int, seed: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Class prototypes and noise: a task that a small encoder learns in seconds."""
    shape = input_shape(net)
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    if net.patches == "ids":
        prototypes = np.random.default_rng(1).integers(0, 10, (CLASSES, *shape))
        kept = rng.random((count, *shape)) < 0.6
        return np.where(kept, prototypes[labels], rng.integers(0, 10, kept.shape)), labels
    prototypes = np.random.default_rng(1).normal(size=(CLASSES, *shape))
    x = prototypes[labels] + rng.normal(size=(count, *shape))
    return x.astype(np.float16).astype(np.float32), labels


def trained(net: Net) -> nn.Module:
    torch.manual_seed(7)
    model = Encoder(net)
    x, y = (torch.from_numpy(a) for a in data(net, TRAINING, 2))
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.01)
    for _ in range(STEPS):
        chosen = torch.randperm(len(x))[:64]
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x[chosen]), y[chosen]).backward()
        optimiser.step()
    return model.eval()


def export(model: nn.Module, example: Tensor, exporter: str, path: Path) -> None:
    kwargs: dict[str, Any] = {"input_names": ["input"], "output_names": ["logits"]}
    opset = int(exporter[-2:])
    if exporter.startswith("legacy"):
        torch.onnx.export(model, (example,), str(path), opset_version=opset, dynamo=False, **kwargs)
        return
    program = torch.onnx.export(
        model, (example,), dynamo=True, opset_version=opset, verbose=False, **kwargs
    )
    assert program is not None
    program.save(str(path))


class Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, x: np.ndarray[Any, Any]) -> None:
        self.rows = iter([{"input": row[None]} for row in x])

    def get_next(self) -> dict[str, Any] | None:
        return next(self.rows, None)


def excluded(path: Path) -> list[str]:
    """The softmax, the mask before it and the product after it: their rounding to 8 bits only
    costs accuracy, that of a mask nearly all of it."""
    nodes = onnx.load(path).graph.node
    found = [n for n in nodes if n.op_type == "Softmax"]
    scores, weights = {n.input[0] for n in found}, {n.output[0] for n in found}
    found += [n for n in nodes if n.op_type in ("Add", "Where") and set(n.output) & scores]
    for n in nodes:
        if set(n.input) & weights:
            found.append(n)
            weights |= set(n.output) if n.op_type in ("IsNaN", "Where") else set()
    return [n.name for n in found]


def quantise_ort(plain: Path, out: Path, x: np.ndarray[Any, Any], quantiser: str) -> None:
    how: dict[str, Any] = QDQ[quantiser]
    ready = plain
    if how.get("prepared", True):
        ready = plain.with_name("ready.onnx")
        quant_pre_process(str(plain), str(ready), skip_symbolic_shape=True)
    quantize_static(
        str(ready),
        str(out),
        Reader(x),
        quant_format=how.get("format", QuantFormat.QDQ),
        activation_type=how.get("kind", QuantType.QInt8),
        weight_type=QuantType.QInt8,
        per_channel=how.get("per_channel", True),
        nodes_to_exclude=[] if how.get("softmax") else excluded(ready),
        extra_options={"ActivationSymmetric": how.get("symmetric", True), "WeightSymmetric": True},
    )


def quantise_pt2e(model: nn.Module, out: Path, x: np.ndarray[Any, Any], quantiser: str) -> None:
    """PyTorch's own flow, then the dynamo exporter."""
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    example = torch.from_numpy(x[:1])
    if quantiser == "xnnpack":
        from torchao.testing.pt2e._xnnpack_quantizer import (
            XNNPACKQuantizer,
            get_symmetric_quantization_config,
        )

        chosen = XNNPACKQuantizer().set_global(get_symmetric_quantization_config())
    else:
        from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

        chosen = x86.X86InductorQuantizer()
        chosen.set_global(x86.get_default_x86_inductor_quantization_config())
    program = torch.export.export(model, (example,)).module()
    prepared = prepare_pt2e(program, chosen)
    for row in x:
        prepared(torch.from_numpy(row[None]))
    export(convert_pt2e(prepared), example, "dynamo20", out)


def make(made: Made) -> None:
    if real := made.net in real_data.NETS:
        model = real_data.trained(made.net)
        learnt, _, x, y = real_data.data(made.net)
        calibration = learnt[:CALIBRATION]
    else:
        model = trained(NETS[made.net])
        x, y = data(NETS[made.net], SAMPLES + CALIBRATION, 3)
        calibration = x[SAMPLES:]
    example = torch.from_numpy(x[:1])
    steps = 1.0, 1.0  # of the input and the output, where the model's are integers
    with tempfile.TemporaryDirectory() as folder:
        plain, out = Path(folder, "f.onnx"), Path(folder, "q.onnx")
        if made.quantiser in QDQ:
            export(model, example, made.exporter, plain)
            quantise_ort(plain, out, calibration, made.quantiser)
        elif made.quantiser == "brevitas":
            from brevitas_nets import quantise_brevitas

            quantise_brevitas(model, out, calibration, int(made.exporter[-2:]))
        elif made.exporter == "hand10":
            from quantlib_nets import quantise_quantlib

            explicit = made.quantiser == "quantlib_ops"
            steps = quantise_quantlib(model, out, calibration, explicit)
        else:
            quantise_pt2e(model, out, calibration, made.quantiser)
        result = onnx.load(out)
    del result.graph.value_info[:]
    del result.metadata_props[:]
    result.doc_string = ""
    for node in result.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    HERE.mkdir(exist_ok=True)
    content = result.SerializeToString(deterministic=True)
    (HERE / f"{made.name}.onnx").write_bytes(content)
    x, y = x[:SAMPLES], y[:SAMPLES]
    with torch.no_grad():
        plain_logits = model(torch.from_numpy(x)).numpy() / steps[1]
    if steps[0] != 1:
        x = np.clip(np.rint(x / steps[0]), -128, 127).astype(np.float32)
    logits = onnx_outputs(HERE / f"{made.name}.onnx", x)
    right = (logits.argmax(1) == y).mean(), (plain_logits.argmax(1) == y).mean()
    print(f"{made.name}: {len(content)} bytes, accuracy int8 {right[0]:.3f}, float {right[1]:.3f}")
    small = x.astype(np.float16 if x.dtype == np.float32 else np.uint8)
    labels = {"y": y.astype(np.uint8)} if real else {}
    np.savez_compressed(
        HERE / f"{made.name}.npz", x=small, logits=logits, real=plain_logits, **labels
    )


def main() -> None:
    """Make the models named on the command line, or all."""
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    chosen = sys.argv[1:]
    for made in corpus():
        if not chosen or made.name in chosen or made.quantiser in chosen:
            try:
                make(made)
            except Exception as error:
                print(f"{made.name}: not made ({type(error).__name__}: {str(error)[:300]})")


if __name__ == "__main__":
    main()
