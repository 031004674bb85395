# SPDX-License-Identifier: Apache-2.0
"""A float ONNX model -> the quantised form that tinygen takes best, made with onnxruntime.

Symmetric int8, weights per output channel, the model preprocessed so that products carry their
biases. Left in float, because integer operators do not round there: softmax, the mask before it
(whose large negative numbers would leave no steps for the scores) and the product that reads it,
and the inside of elementwise functions (GELU by Erf) and of spelled-out norms.
"""

from __future__ import annotations

import io
import logging
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray

from tinygen.errors import TinygenError
from tinygen.fidelity.compare import Progress, onnx_outputs, reason_of, runtime
from tinygen.fidelity.grids import complete, inputs_apart, with_rounded_inputs
from tinygen.fidelity.honest import fitness, judged
from tinygen.fidelity.model_proto import opset_of
from tinygen.fidelity.noise import LayerNoise, layer_noise
from tinygen.fidelity.prepare import MOVES, plain_biases, scale_scores, weights_on_the_right
from tinygen.fidelity.samples import Wanted, read_samples
from tinygen.importer import IDS, fix_shape, load, read_model, without_contrib
from tinygen.importer.choice import real_inputs
from tinygen.passes import import_model
from tinygen.passes.ends import without_batch
from tinygen.passes.normcone import norms_within
from tinygen.reference.decision import accuracy, real_answers

QUANTISED = {
    "QuantizeLinear",
    "DequantizeLinear",
    "QGemm",
    "QLinearMatMul",
    "DynamicQuantizeLinear",
}
CHANNELS = 13
"""The first opset whose DequantizeLinear takes a scale for each channel."""
ANYWAY = "nothing was written (--force writes it all the same)"
ERRORS_ONLY = 3
"""Of onnxruntime's log levels."""
INSIDE = {"Erf", "Tanh", "Sigmoid", "Div", "Mul", "Add", "Sub", "Pow", "Sqrt", "ReduceMean", "Gelu"}
"""Operators that a function of one tensor or a norm may be spelled with."""


@dataclass(frozen=True)
class Quantised:
    """top1_agreement: float and quantised model, on the samples. Accuracies: None without labels.

    left_out: the nodes that stay in float.  layers: the noise that quantising adds, in order.
    warnings: sentences about the samples and the result.
    """

    output: Path
    samples: int
    top1_agreement: float
    accuracy_float: float | None
    accuracy_quantised: float | None
    left_out: tuple[str, ...]
    layers: tuple[LayerNoise, ...]
    warnings: tuple[str, ...] = ()


def quantize(
    model: Path, calibration: Path, output: Path, *, force: bool = False, progress: Progress
) -> Quantised:
    """Write ``output``. Needs the extra `check` (onnxruntime). Raises `TinygenError`; then, and
    until the result is known to import, nothing is written."""
    if output.exists() and not force:
        raise TinygenError(f"{output} exists: choose another name, or add --force to replace it")
    if not output.parent.is_dir():
        raise TinygenError(f"{output.parent} is not a folder: create it first")
    runtime()
    proto = _float_model(model)
    ends = _fix_batch(proto, model)
    proto = without_contrib(proto, model)
    x, y = read_samples(calibration, ends, model.stem)
    fit, usual = fitness(x)
    if fit.worthless and not force:
        raise TinygenError(f"{calibration}: {fit.worthless}: {ANYWAY}")
    with tempfile.TemporaryDirectory() as scratch:
        prepared, made = Path(scratch, "prepared.onnx"), Path(scratch, "quantised.onnx")
        with _quietly(model, opset_of(proto)):
            try:
                left_out = _run(proto, x, prepared, made, progress)
            except TinygenError as error:  # of the copy that is worked on
                raise TinygenError(str(error).replace(str(prepared), str(model))) from error
        tidy = with_rounded_inputs(onnx.load(str(made)), x)
        clean(tidy)
        made.write_bytes(tidy.SerializeToString(deterministic=True))
        complete(made, x)
        _imports(made, model, output)
        layers = layer_noise(prepared, made, x)
        loaded = load(made)
        outputs = [onnx_outputs(p, x) for p in (prepared, made)]
        before, after = (real_answers(loaded, out) for out in outputs)
        right = tuple(accuracy(z, y) for z in (before, after))
        verdict = judged(fit, usual, outputs[0], outputs[1], (right[0], right[1]))
        if verdict.worthless and not force:
            raise TinygenError(f"{model}: quantised, {verdict.worthless}: {ANYWAY}")
        _write(made.read_bytes(), output)
    coarse = () if opset_of(proto) >= CHANNELS else (_coarse(opset_of(proto)),)
    return Quantised(
        output=output,
        samples=len(x),
        top1_agreement=float((before == after).mean()),
        accuracy_float=right[0],
        accuracy_quantised=right[1],
        left_out=tuple(left_out),
        layers=tuple(layers),
        warnings=(*coarse, *verdict.warnings, *([verdict.worthless] if verdict.worthless else [])),
    )


def _coarse(opset: int) -> str:
    return (
        f"opset {opset} has no scale for each output channel, so that each weight has one scale: "
        f"export with opset {CHANNELS} or later for finer ones"
    )


def _float_model(path: Path) -> onnx.ModelProto:
    proto, _ = read_model(path)
    found = sorted({n.op_type for n in proto.graph.node} & QUANTISED)
    if found:
        raise TinygenError(
            f"{path} is quantised already (node type {found[0]}): give the float model, or use "
            "this one as it is"
        )
    return proto


def _fix_batch(proto: onnx.ModelProto, path: Path) -> Wanted:
    """Set the batch axes to 1; the inputs' shapes without them."""
    shapes = {}
    for entry in real_inputs(proto, path):
        kind = entry.type.tensor_type.elem_type
        if kind not in (onnx.TensorProto.FLOAT, *IDS):
            raise TinygenError(
                f"{path}: input {entry.name} is not float32: tinygen quantises models with float "
                "inputs, and with token ids in int32 or int64"
            )
        try:
            shape = fix_shape(entry)
        except TinygenError as error:
            raise TinygenError(f"{path}: {error}") from error
        fixed = onnx.helper.make_tensor_type_proto(kind, shape)
        entry.type.tensor_type.CopyFrom(fixed.tensor_type)
        shapes[str(entry.name)] = without_batch(shape)
    del proto.graph.value_info[:]
    return Wanted(shapes, tuple(str(o.name) for o in proto.graph.output))


def _run(
    proto: onnx.ModelProto, x: NDArray[Any], prepared: Path, made: Path, progress: Progress
) -> list[str]:
    """Preprocess, calibrate, quantise; the names of the nodes that stay in float."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    source = prepared.with_name("float.onnx")
    source.write_bytes(proto.SerializeToString())
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    ready = onnx.load(str(prepared))
    plain_biases(ready)
    weights_on_the_right(ready)
    factors = scale_scores(ready)
    prepared.write_bytes(ready.SerializeToString())
    norms = norms_within(load(prepared, quantised=False))
    left_out = stays_float(ready, [*norms, tuple(factors)])
    quantize_static(
        str(prepared),
        str(made),
        _reader(list(onnx.load(str(prepared)).graph.input), x, progress),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        per_channel=opset_of(ready) >= CHANNELS,
        nodes_to_exclude=left_out,
        extra_options={"ActivationSymmetric": True, "WeightSymmetric": True},
    )
    return left_out


def _reader(entries: Sequence[onnx.ValueInfoProto], x: NDArray[Any], progress: Progress) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    parts = inputs_apart(entries, x)
    kinds = {
        e.name: onnx.helper.tensor_dtype_to_np_dtype(e.type.tensor_type.elem_type) for e in entries
    }

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Hands one sample at a time to the calibration."""

        def __init__(self) -> None:
            self.done = 0

        def get_next(self) -> dict[str, NDArray[Any]] | None:
            if self.done == len(x):
                return None
            self.done += 1
            progress(self.done, len(x))
            at = self.done - 1
            return {name: part[at].astype(kinds[name]) for name, part in parts.items()}

    return Reader()


def stays_float(model: onnx.ModelProto, norms: Iterable[tuple[str, ...]] = ()) -> list[str]:
    """Softmax, its mask and its reader; functions of one tensor and norms, spelled out.

    norms: names of the nodes of each norm that is spelled out."""
    nodes = list(model.graph.node)
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    out: list[str] = []
    constants = {t.name for t in model.graph.initializer}
    constants |= {o for n in nodes if n.op_type == "Constant" for o in n.output}
    makers = {o: n for n in nodes for o in n.output}
    for node in nodes:
        if node.op_type == "LayerNormalization" and _several_axes(node, model):
            out.append(node.name)  # onnxruntime cannot quantise its gamma
        if node.op_type == "Softmax":
            out += [node.name, *(r.name for r in _after_moves(node, readers))]
            out += [m.name for m in _masks(node, makers, constants)]
    out += [name for names in norms for name in names]
    for region in _regions(nodes, constants):
        if any(n.op_type in ("Erf", "Tanh", "Sigmoid", "ReduceMean") for n in region[:-1]):
            out += [n.name for n in region]
    return list(dict.fromkeys(out))


def _several_axes(node: onnx.NodeProto, model: onnx.ModelProto) -> bool:
    """Whether a norm's gamma has more than one axis."""
    return any(t.name in node.input[1:] and len(t.dims) > 1 for t in model.graph.initializer)


NUMBERS = {"IsNaN", "Where"}
"""What exporters put behind the softmax of a mask."""


def _masks(
    softmax: onnx.NodeProto, makers: dict[str, onnx.NodeProto], constants: set[str]
) -> Iterator[onnx.NodeProto]:
    """The nodes before a softmax that add a constant to its scores, or choose between them."""
    name = softmax.input[0]
    while (node := makers.get(name)) is not None and node.op_type in MOVES | {"Add", "Where"}:
        active = [i for i in node.input if i and i not in constants and i in makers]
        if node.op_type not in MOVES:
            if len(active) != 1:
                return
            yield node
        name = active[0] if active else ""


def _after_moves(
    node: onnx.NodeProto, readers: dict[str, list[onnx.NodeProto]]
) -> Iterator[onnx.NodeProto]:
    """The nodes that read a result, movement between included."""
    for reader in readers.get(node.output[0], []):
        yield reader
        if reader.op_type in MOVES | NUMBERS:
            yield from _after_moves(reader, readers)


def _regions(nodes: list[onnx.NodeProto], constants: set[str]) -> Iterator[list[onnx.NodeProto]]:
    """Nodes that together are a function of one tensor, two or more of them, in order.

    A region starts at a tensor and takes every operator of `INSIDE` all of whose inputs are that
    tensor, constants, or inside the region already; it ends at its last value that all else reads.
    """
    taken: set[str] = set()
    for start in nodes:
        if start.op_type not in INSIDE or start.name in taken:
            continue
        active = [i for i in start.input if i and i not in constants]
        if len(active) != 1:
            continue
        known, region = {active[0]}, []
        for node in nodes:
            inputs = [i for i in node.input if i and i not in constants]
            inside = bool(inputs) and set(inputs) <= known and node.op_type in INSIDE
            if inside and node.name not in taken:
                known |= set(node.output)
                region.append(node)
        region = _closed(region, nodes, active[0])
        if len(region) > 1:
            taken |= {n.name for n in region}
            yield region


def _closed(
    region: list[onnx.NodeProto], nodes: list[onnx.NodeProto], root: str
) -> list[onnx.NodeProto]:
    """The longest beginning of a region of which only the last value is read outside."""
    for size in range(len(region), 1, -1):
        part = region[:size]
        names = {n.name for n in part}
        made = {o for n in part[:-1] for o in n.output}
        outside = {i for n in nodes if n.name not in names for i in n.input}
        if not made & outside and root not in {o for n in part for o in n.output}:
            return part
    return []


def clean(model: onnx.ModelProto) -> None:
    """Drop doc strings and metadata (stack traces with local paths) and unused operator sets."""
    used = {n.domain for n in model.graph.node}
    versions = [o for o in model.opset_import if o.domain in used or o.domain == ""]
    del model.opset_import[:]
    model.opset_import.extend(versions)
    del model.metadata_props[:]
    graph = model.graph
    for item in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        item.doc_string = ""
    for holder in (graph, *graph.node, *graph.initializer):
        del holder.metadata_props[:]
    del graph.value_info[:]


def _imports(made: Path, model: Path, output: Path) -> None:
    try:
        import_model(made)
    except TinygenError as error:
        reason = str(error).replace(f"{made}: ", "").replace(str(made), "it")
        raise TinygenError(
            f"{model}: quantised, but tinygen cannot take the result, so {output.name} was not "
            f"written ({reason})"
        ) from error


def _write(content: bytes, output: Path) -> None:
    """All of the file or nothing."""
    part = output.with_name(f".{output.name}.part")
    try:
        part.write_bytes(content)
        part.replace(output)
    except OSError as error:
        part.unlink(missing_ok=True)
        reason = (error.strerror or "error").lower()
        raise TinygenError(f"{output} cannot be written ({reason}): choose another place") from None


@contextmanager
def _quietly(model: Path, opset: int) -> Iterator[None]:
    """No notes of onnxruntime on the terminal, and its errors as one sentence."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # it logs tracebacks of what it then goes on without
    runtime().set_default_logger_severity(ERRORS_ONLY)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    except TinygenError:
        raise
    except Exception as error:  # onnxruntime raises its own types, one for each status code
        newer = "" if opset >= CHANNELS else f": export it with opset {CHANNELS} or later"
        raise TinygenError(
            f"{model}: onnxruntime cannot quantise it ({reason_of(error)}){newer}"
        ) from error
    finally:
        logging.disable(level)
