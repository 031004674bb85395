# SPDX-License-Identifier: Apache-2.0
"""The integer model against the float-simulated one that onnxruntime runs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from tinygen import reference
from tinygen.errors import TinygenError
from tinygen.fidelity.model_proto import opset_of, set_nodes
from tinygen.fidelity.quantlib import Evaluator, is_quantlib
from tinygen.graph import Graph, Output
from tinygen.graph.packed import apart
from tinygen.importer.choice import needed_for
from tinygen.importer.quantlib import DOMAIN, KINDS, with_domain
from tinygen.importer.spell import spell_out
from tinygen.reference.decision import accuracy, real_answers

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Yardstick:
    """Mean distances in LSB of onnxruntime on this processor from the definition of the model.

    plain: graph optimisations off.  optimised: on.  spelled: whether the definition was run as
    dequantised float operators, because the model has fused integer ones.
    """

    plain: float
    optimised: float
    spelled: bool


@dataclass(frozen=True)
class CheckResult:
    """LSB: one step of the output's scale. Accuracies are None without labels.  onnxruntime: how
    far it is from the model's definition itself, None where that was not measured.

    outputs: of several outputs, the result of each by its name; then the whole is of all of them,
    and the answers agree where all do.
    """

    samples: int
    top1_agreement: float
    mean_abs_lsb: float
    max_abs_lsb: float
    accuracy_onnx: float | None
    accuracy_int: float | None
    onnxruntime: Yardstick | None = None
    outputs: Mapping[str, CheckResult] = field(default_factory=dict)


def check(
    graph: Graph,
    model: Path,
    x: NDArray[Any],
    y: NDArray[Any] | None = None,
    progress: Progress | None = None,
) -> CheckResult:
    """x float [N, *input shape], y labels [N] or [N, outputs]. Needs the
    extra `check` (onnxruntime)."""
    theirs = definition(graph, model, x)
    result = compare(graph, theirs, x, y, progress)
    return replace(result, onnxruntime=yardstick(graph, model, x, theirs))


def compare(
    graph: Graph,
    theirs: NDArray[np.float32],
    x: NDArray[Any],
    y: NDArray[Any] | None,
    progress: Progress | None = None,
) -> CheckResult:
    """theirs: outputs [N, n] that onnxruntime gives for x."""
    theirs = real_outputs(graph, theirs)
    ours = np.empty((len(x), theirs.shape[1]), np.float32)
    for i, sample in enumerate(x):
        q = reference.run(graph, reference.quantise(graph, sample))
        ours[i] = reference.dequantise(graph, q).reshape(-1)
        if progress:
            progress(i + 1, len(x))
    difference = np.abs(ours - theirs) / steps(graph)
    mine, their = (real_answers(graph, real) for real in (ours, theirs))
    whole = _result(difference, mine, their, y)
    if len(graph.outputs) == 1:
        return whole
    parts = apart(graph, graph.output_values, difference)
    each = {
        end.name: _result(part, mine[:, i], their[:, i], None if y is None else y[:, i])
        for i, (end, part) in enumerate(zip(graph.outputs, parts, strict=True))
    }
    return replace(whole, outputs=each)


def _result(
    difference: NDArray[np.float32],
    mine: NDArray[np.int64],
    their: NDArray[np.int64],
    y: NDArray[Any] | None,
) -> CheckResult:
    same = (mine == their).reshape(len(mine), -1).all(axis=1)
    return CheckResult(
        samples=len(mine),
        top1_agreement=float(same.mean()),
        mean_abs_lsb=float(difference.mean()),
        max_abs_lsb=float(difference.max()),
        accuracy_onnx=accuracy(their, y),
        accuracy_int=accuracy(mine, y),
    )


def steps(graph: Graph) -> NDArray[np.float32]:
    """The scale of each element of the outputs."""
    return np.concatenate(
        [
            np.full(math.prod(graph.values[name].shape), graph.quant(name).scale, np.float32)
            for name in graph.output_values
        ]
    )


def real_outputs(graph: Graph, theirs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Outputs of a model that gives integers, as real numbers."""
    if not any(end.integers for end in graph.outputs):
        return theirs
    parts = apart(graph, graph.output_values, theirs)
    return np.concatenate(
        [
            _real(graph, end, part.reshape(len(part), -1))
            for end, part in zip(graph.outputs, parts, strict=True)
        ],
        axis=1,
    )


def _real(graph: Graph, end: Output, theirs: NDArray[np.float32]) -> NDArray[np.float32]:
    if not end.integers:
        return theirs
    quant = graph.quant(end.value)
    zero = quant.zero_point + (128 if end.integers == "uint8" else 0)
    return (theirs - np.float32(zero)) * np.float32(quant.scale)


def runtime() -> Any:
    """The module onnxruntime, or a sentence that says how to install it."""
    try:
        import onnxruntime
    except ImportError:
        raise TinygenError("onnxruntime is not installed: pip install 'tinygen[check]'") from None
    return onnxruntime


def session(model: Path | bytes, *, optimised: bool = False) -> Any:
    """An inference session on one thread.

    Graph optimisations are off, unless they are asked for: a fused operator would not be the model
    that was quantised. QuantLib's nodes run in ONNX's reference evaluator instead.
    """
    content = model if isinstance(model, bytes) else model.read_bytes()
    if DOMAIN.encode() in content or any(k.encode() in content for k in KINDS):
        proto = with_domain(onnx.load_from_string(content))
        if is_quantlib(proto):
            return Evaluator(proto)
    onnxruntime = runtime()
    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = (
        levels.ORT_ENABLE_ALL if optimised else levels.ORT_DISABLE_ALL
    )
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # its errors are said once, in a sentence
    source = model if isinstance(model, bytes) else str(model)  # a path finds its external data
    return onnxruntime.InferenceSession(source, options, ["CPUExecutionProvider"])


def fed(ready: Any, sample: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """What a session takes for a sample, several inputs one after the other: a batch of one, in
    each input's type."""
    kinds: dict[str, Any] = {f"tensor({k})": k for k in ("int64", "int32", "int8", "uint8")}
    found, at = {}, 0
    entries = ready.get_inputs()
    for entry in entries:
        shape = [d if isinstance(d, int) and d > 0 else 1 for d in entry.shape]
        part = sample.reshape(-1)[at : at + math.prod(shape)] if len(entries) > 1 else sample
        found[entry.name] = part.reshape(shape).astype(kinds.get(entry.type, np.float32))
        at += math.prod(shape)
    return found


def reason_of(error: Exception) -> str:
    """What onnxruntime says, on one line, without places in its own source."""
    text = " ".join(str(error).split())
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    text = re.sub(r"/\S+\.(?:cc|h|cpp):\d+: \S+ Assertion .*? failed: ", "", text)
    text = re.sub(
        r"/\S+\.(?:cc|h|cpp):\d+ [^()]*\(.*?\)(?: const)?(?: \[with [^]]*\])? (?=[\w(])", "", text
    )
    text = re.sub(r"Load model from \S+ failed: ?", "", text)
    return "".join(c for c in text if c.isprintable())[:200] or type(error).__name__


def session_with_outputs(model: onnx.ModelProto, names: list[str]) -> Any:
    """A session that also gives these tensors."""
    if is_quantlib(model := with_domain(model)):
        return Evaluator(model)
    present = {o.name for o in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in present)
    return session(model.SerializeToString())


def tensors(graph: Graph) -> tuple[str, ...]:
    """What the outputs are in the file."""
    return tuple(end.tensor for end in graph.outputs)


def definition(graph: Graph, model: Path, x: NDArray[Any]) -> NDArray[np.float32]:
    """What the model means: its outputs [N, outputs] with every fused integer operator spelled
    out, since kernels that add products in 16 bits saturate on some processors."""
    return onnx_outputs(model, x, tensors=tensors(graph), spelled=True)


def yardstick(
    graph: Graph, model: Path, x: NDArray[Any], theirs: NDArray[np.float32]
) -> Yardstick | None:
    """How far onnxruntime's own runs are from the definition; None where they cannot run."""
    found = []
    for optimised in (False, True):
        try:
            own = onnx_outputs(model, x, tensors=tensors(graph), optimised=optimised)
        except TinygenError:
            return None
        distance = np.abs(real_outputs(graph, own) - real_outputs(graph, theirs))
        found.append(float((distance / steps(graph)).mean()))
    return Yardstick(found[0], found[1], spelled=_spelled(model) is not None)


OWN = frozenset({"QLinearSoftmax"})
"""A table that saturates nowhere; spelled out it may be of another opset than the model."""


def _axes_inside(model: onnx.ModelProto) -> onnx.ModelProto:
    """A spelled mean has its axes as an input, which opsets before 18 do not know."""
    if opset_of(model) >= 18:
        return model
    stored = {t.name: t for t in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "ReduceMean" and len(node.input) == 2:
            axes = onnx.numpy_helper.to_array(stored[node.input.pop()]).tolist()
            if axes:
                node.attribute.append(onnx.helper.make_attribute("axes", axes))
    return model


def _spelled_whole(model: Path) -> onnx.ModelProto:
    """`OWN` operators spelled out too. A softmax that the model's opset defines otherwise keeps the
    attribute that onnxruntime refuses."""
    proto = _axes_inside(spell_out(onnx.load(str(model)), model))
    newest = opset_of(proto) >= 13
    for node in proto.graph.node:
        how = {a.name: a for a in node.attribute}
        if node.op_type == "Softmax" and "opset" in how:
            same = how["axis"].i == -1 or (newest and how["opset"].i >= 13)
            if same:
                node.attribute.remove(how["opset"])
    return proto


def _up_to(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """With these outputs, and without what they do not need."""
    needed = needed_for(model, names)
    set_nodes(model.graph, [n for n in model.graph.node if needed & set(n.output)])
    inputs = [i for i in model.graph.input if i.name in needed]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=n) for n in dict.fromkeys(names))
    return model


def _spelled(model: Path) -> bytes | None:
    """The file with its fused integer operators spelled out, None where it has none."""
    proto = onnx.load(str(model))
    before = len(proto.graph.node)
    spelled = _axes_inside(spell_out(proto, model, OWN))
    return None if len(spelled.graph.node) == before else bytes(spelled.SerializeToString())


def onnx_outputs(
    model: Path,
    x: NDArray[Any],
    *,
    tensors: Sequence[str] = (),
    spelled: bool = False,
    optimised: bool = False,
) -> NDArray[np.float32]:
    """onnxruntime's outputs, one sample at a time -> float32 [N, outputs].

    tensors: others than the outputs.  spelled: fused integer operators as float ones.
    """
    try:
        source: Path | bytes = (_spelled(model) if spelled else None) or model
        if tensors:
            source = _with_tensors(source, model, tensors)
        ready = session(source, optimised=optimised)
        rows = [_row(ready, tensors, sample) for sample in x]
    except TinygenError:
        raise
    except Exception as e:  # onnxruntime raises its own types, one for each status code
        raise TinygenError(f"{model}: onnxruntime cannot run it ({reason_of(e)})") from None
    outputs: NDArray[np.float32] = np.array(rows, np.float32)
    return outputs


def _with_tensors(source: Path | bytes, model: Path, names: Sequence[str]) -> Path | bytes:
    """source: the model, or its bytes with operators spelled out."""
    proto = onnx.load_from_string(source if isinstance(source, bytes) else source.read_bytes())
    if list(names) == [o.name for o in proto.graph.output]:
        return source
    made = {o for n in proto.graph.node for o in n.output}
    if not made.issuperset(names):  # of a last QLinearSoftmax
        proto = _spelled_whole(model)
    return bytes(_up_to(proto, names).SerializeToString())


def _row(ready: Any, names: Sequence[str], sample: NDArray[Any]) -> NDArray[Any]:
    wanted = list(dict.fromkeys(names))
    found = ready.run(wanted or None, fed(ready, sample))
    if wanted:
        by_name = dict(zip(wanted, found, strict=True))
        found = [by_name[name] for name in names]
    return np.concatenate([np.asarray(part).reshape(-1) for part in found])
