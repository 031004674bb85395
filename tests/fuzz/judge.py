# SPDX-License-Identifier: Apache-2.0
"""Is a model taken with the right numbers, or refused by a sentence about it?

What rounding allows is measured on the model itself: how far its output moves when every activation
is off by up to half a step of eight bits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fuzz.draw import Drawn
from fuzz.net import SAMPLES, Array, Net
from semantics.harness import SIMULATED, canonical
from tinygen.boards import load_board
from tinygen.errors import TinygenError
from tinygen.fidelity import onnx_outputs, quantize
from tinygen.fidelity.compare import tensors
from tinygen.graph import Graph, Output
from tinygen.graph.packed import apart
from tinygen.passes import import_model
from tinygen.passes.ends import without_batch
from tinygen.passes.engine import kind_of
from tinygen.passes.simulate import simulate
from tinygen.planner import Options
from tinygen.project.planned import plan_model
from tinygen.reference import dequantise, quantise, run

BOARDS = ("host", "nucleo_h743zi", "nucleo_l476rg", "gap9_evk", "pulp_open", "mps2_an385")
VAGUE = ("malformed", "does not fit its inputs", "does not settle", "cannot be evaluated")
VAGUE += ("cannot be fixed", "a step of", "object has no", "Traceback")
WORDS = re.compile(r"[\w.~/-]+")


@dataclass(frozen=True)
class Verdict:
    """kind: taken, refused, empty (the yardstick says nothing) or find.  text: sentence or find."""

    kind: str
    text: str = ""


def judge(drawn: Drawn, folder: Path, case: int = 0) -> Verdict:
    net, output = drawn.net, drawn.output
    if output == net.input or output not in net.live:
        return Verdict("empty", "no operator")
    path = folder / "drawn.onnx"
    path.write_bytes(drawn.model.SerializeToString())
    x = np.stack([v.reshape(without_batch(v.shape)) for v in net.values[net.input]])
    names = {n for m in net.made for n in (m.node.name, *m.node.input, *m.node.output)}
    kinds = "|".join({m.node.op_type for m in net.made if not m.node.name} or {"-"})
    try:
        if drawn.way == "float":
            np.savez(folder / "drawn.npz", x=x)
            made = folder / "made.onnx"
            quantize(path, folder / "drawn.npz", made, force=True, progress=lambda a, b: None)
            path = made
        elif drawn.way == "bare" and not drawn.more and (wrong := _float(drawn, path)):
            return Verdict("find", wrong)
        return _integer(drawn, path, x, case)
    except TinygenError as error:
        said = re.sub(r"~\w+", "", str(error))  # as `import_model` does
        return refused(said, names, kinds, folder)


NAMELESS = ("is a float model without quantisation", "computes nothing", "or later")
"""Sentences about the whole file."""
RENAMED = re.compile(r"\(node \S+ ")
"""In what `tinygen quantize` says: onnxruntime gives names when it fuses operators."""


def refused(sentence: str, names: set[str], kinds: str, folder: Path) -> Verdict:
    """A sentence that names a node or a tensor of the file, on one line; nodes without a name are
    called by their kind and a number."""
    plain = re.sub(rf"{re.escape(str(folder))}/\S+?:?(?=\s|$)", "", sentence).strip()
    said = {w.strip(".:,") for w in WORDS.findall(plain)}
    if "\n" in sentence:
        return Verdict("find", f"more than a line: {sentence}")
    if vague := [w for w in VAGUE if w in plain]:
        return Verdict("find", f"vague ({vague[0]}): {plain}")
    if any(w in plain for w in NAMELESS):
        return Verdict("refused", plain)
    numbered = any(re.fullmatch(rf"({kinds})_\d+", word) for word in said)
    numbered |= plain.startswith("quantised, but") and RENAMED.search(plain) is not None
    if not said & (names - {""}) and not numbered:
        return Verdict("find", f"names nothing of the model: {plain}")
    return Verdict("refused", plain)


def _float(drawn: Drawn, path: Path) -> str:
    """What is wrong with the canonical float graph, where nothing rounds but the input."""
    net, output = drawn.net, drawn.output
    if any(m.node.op_type.startswith("QLinear") or m.node.op_type == "QGemm" for m in net.made):
        return ""
    graph = canonical(path)
    if any(kind_of(n) not in SIMULATED for n in graph.nodes):
        return ""
    for k in range(SAMPLES):
        want = (
            net.values[graph.outputs[0].tensor][k]
            if graph.outputs[0].logits in net.values
            else net.values[output][k]
        )
        got = simulate(graph, net.values[net.input][k])[graph.only_output]
        if got.size != want.size:
            return f"float: {got.size} elements, not {want.size}"
        part = 1 / 127 if any("rounded to int8" in n for n in graph.notes) else 1e-5
        near = [
            np.abs(net.disturbed(output, k, part) - net.values[output][k]).max() for _ in range(2)
        ]
        allowed = 1e-4 * max(1.0, float(np.abs(want).max())) + 4 * float(max(near))
        off = float(np.abs(got.reshape(-1) - want.reshape(-1)).max())
        if not off <= allowed:
            return f"float: off by {off:.4g}, allowed {allowed:.4g}"
    return ""


def _integer(drawn: Drawn, path: Path, x: Array, case: int) -> Verdict:
    graph = import_model(path, samples=x)
    plan_model(graph, load_board(BOARDS[case % len(BOARDS)]), Options(), None)
    try:
        theirs = onnx_outputs(path, x, tensors=tensors(graph), spelled=True)
    except TinygenError as error:
        return Verdict("empty", str(error))
    rows = [dequantise(graph, run(graph, quantise(graph, one))).reshape(-1) for one in x]
    if rows[0].size != theirs[0].size:
        return Verdict("find", f"{rows[0].size} outputs, not {theirs[0].size}")
    both = [apart(graph, graph.output_values, np.array(r)) for r in (rows, theirs)]
    names = drawn.output, *drawn.more
    found = [
        _one_output(drawn.net, graph, end, name, ours, their)
        for end, name, ours, their in zip(graph.outputs, names, *both, strict=True)
    ]
    return next((v for v in found if v.kind != "taken"), found[0])


def _one_output(
    net: Net, graph: Graph, end: Output, name: str, ours: Array, theirs: Array
) -> Verdict:
    """ours, theirs: [N, *shape]."""
    quant = graph.quant(end.value)
    target = end.logits if end.logits in net.values else name
    off = []
    for got, want in zip(ours, theirs, strict=True):
        if end.integers:
            zero = quant.zero_point + (128 if end.integers == "uint8" else 0)
            want = (want - zero) * np.float32(quant.scale)
        if not np.isfinite(want).all():
            return Verdict("empty", "the yardstick is not finite")
        low, high = (quant.scale * (v - quant.zero_point) for v in (-128, 127))
        off.append(np.abs(got - np.clip(want, low, high)) / quant.scale)
    mean, most = float(np.mean(off)), float(np.max(off))
    step = 1.0 if net.values[target][0].dtype != np.float32 else quant.scale
    allowed = (0.0, 0.0)
    for draws in (1, 30):  # most are near enough for few
        allowed = _freedom(net, target, draws, step)
        if mean <= allowed[0] and most <= allowed[1]:
            return Verdict("taken", f"{mean:.2f}")
    return Verdict(
        "find",
        f"integers: {mean:.2f} LSB on average and {most:.2f} at most off, allowed "
        f"{allowed[0]:.2f} and {allowed[1]:.2f}",
    )


def _freedom(net: Net, target: str, draws: int, step: float) -> tuple[float, float]:
    """What the mean and the largest distance may be, in steps of the output."""
    means, mosts = [], []
    for _ in range(draws):
        gaps = []
        for k in range(SAMPLES):
            moved = net.disturbed(target, k, 1 / 255).astype(np.float64)
            gap = np.abs(moved - net.values[target][k].astype(np.float64)) / step
            gaps.append(np.nan_to_num(gap, nan=np.inf).reshape(-1))
        with np.errstate(over="ignore"):  # one over next to nothing may be anything
            means.append(float(np.mean(gaps)))
        mosts.append(float(np.max(gaps)))
    return 0.75 + 2 * max(means), 2 + 2.5 * max(mosts)
