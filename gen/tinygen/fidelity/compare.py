# SPDX-License-Identifier: Apache-2.0
"""The integer model against the float-simulated one that onnxruntime runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from tinygen import reference
from tinygen.errors import TinygenError
from tinygen.fidelity.quantlib import Evaluator, is_quantlib
from tinygen.graph import Graph
from tinygen.importer.quantlib import DOMAIN, KINDS, with_domain

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class CheckResult:
    """LSB: one step of the output's scale. Accuracies are None without labels."""

    samples: int
    top1_agreement: float
    mean_abs_lsb: float
    max_abs_lsb: float
    accuracy_onnx: float | None
    accuracy_int: float | None


def check(
    graph: Graph,
    model: Path,
    x: NDArray[Any],
    y: NDArray[Any] | None = None,
    progress: Progress | None = None,
) -> CheckResult:
    """x float [N, *input shape], y labels [N]. Needs the extra `check` (onnxruntime)."""
    return compare(graph, onnx_outputs(model, x), x, y, progress)


def compare(
    graph: Graph,
    theirs: NDArray[np.float32],
    x: NDArray[Any],
    y: NDArray[Any] | None,
    progress: Progress | None = None,
) -> CheckResult:
    """theirs: outputs [N, classes] that onnxruntime gives for x."""
    theirs = real_outputs(graph, theirs)
    ours = np.empty((len(x), theirs.shape[1]), np.float32)
    for i, sample in enumerate(x):
        q = reference.run(graph, reference.quantise(graph, sample))
        ours[i] = reference.dequantise(graph, q).reshape(-1)
        if progress:
            progress(i + 1, len(x))
    quant = graph.values[graph.output].quant
    assert quant is not None
    difference = np.abs(ours - theirs) / quant.scale
    mine, their = ours.argmax(axis=1), theirs.argmax(axis=1)
    return CheckResult(
        samples=len(x),
        top1_agreement=float((mine == their).mean()),
        mean_abs_lsb=float(difference.mean()),
        max_abs_lsb=float(difference.max()),
        accuracy_onnx=None if y is None else float((their == y).mean()),
        accuracy_int=None if y is None else float((mine == y).mean()),
    )


def real_outputs(graph: Graph, theirs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Outputs of a model that gives integers, as real numbers."""
    quant = graph.values[graph.output].quant
    assert quant is not None
    if not graph.integer_output:
        return theirs
    zero = quant.zero_point + (128 if graph.integer_output == "uint8" else 0)
    return (theirs - np.float32(zero)) * np.float32(quant.scale)


def runtime() -> Any:
    """The module onnxruntime, or a sentence that says how to install it."""
    try:
        import onnxruntime
    except ImportError:
        raise TinygenError("onnxruntime is not installed: pip install 'tinygen[check]'") from None
    return onnxruntime


def session(model: Path | bytes) -> Any:
    """An inference session on one thread.

    Graph optimisations are off: a fused operator would not be the model that was quantised.
    QuantLib's nodes run in ONNX's reference evaluator instead.
    """
    content = model if isinstance(model, bytes) else model.read_bytes()
    if DOMAIN.encode() in content or any(k.encode() in content for k in KINDS):
        proto = with_domain(onnx.load_from_string(content))
        if is_quantlib(proto):
            return Evaluator(proto)
    onnxruntime = runtime()
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    source = model if isinstance(model, bytes) else str(model)  # a path finds its external data
    return onnxruntime.InferenceSession(source, options, ["CPUExecutionProvider"])


def fed(ready: Any, sample: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """What a session takes for a sample [*input shape]: a batch of one, in the input's type."""
    first = ready.get_inputs()[0]
    kinds: dict[str, Any] = {f"tensor({k})": k for k in ("int64", "int32", "int8", "uint8")}
    shape = [d if isinstance(d, int) and d > 0 else 1 for d in first.shape]
    return {first.name: sample.reshape(shape).astype(kinds.get(first.type, np.float32))}


def session_with_outputs(model: onnx.ModelProto, names: list[str]) -> Any:
    """A session that also gives these tensors."""
    if is_quantlib(model := with_domain(model)):
        return Evaluator(model)
    present = {o.name for o in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in present)
    return session(model.SerializeToString())


def onnx_outputs(model: Path, x: NDArray[Any]) -> NDArray[np.float32]:
    """onnxruntime's outputs, one sample at a time -> float32 [N, outputs]."""
    try:
        ready = session(model)
        rows = [ready.run(None, fed(ready, sample))[0].reshape(-1) for sample in x]
    except TinygenError:
        raise
    except Exception as e:  # onnxruntime raises its own types, one for each status code
        raise TinygenError(
            f"{model}: onnxruntime cannot run it ({str(e).splitlines()[0]})"
        ) from None
    outputs: NDArray[np.float32] = np.array(rows, np.float32)
    return outputs
