# SPDX-License-Identifier: Apache-2.0
"""Fit the planner's cost model to exact instruction counts from QEMU.

    python benchmarks/fit_costs.py            fit every core, write the planner's data files and the
                                              table of README.md
    python benchmarks/fit_costs.py --check    compare the present fit with fresh shapes; fail where
                                              an operator is more than 10 % off

Random networks (seeded) run in the emulator; every layer gives one equation: the rounds that
`tinygen.planner.cost.features` counts, times unknown costs, are the instructions it took. Three of
four layers are fitted (non-negative least squares on relative errors), the fourth is held back;
the errors that are published are those of the layers held back. Cycles are fitted the same way to
the static models of cycles.py, block by block over the same run in Unicorn.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))


import bench
import cycles as pipelines
from graphs import GraphBuilder
from tinygen import operators as ops
from tinygen.boards import Board, load_board
from tinygen.graph import Graph
from tinygen.numeric import I8, Requant
from tinygen.operators import OPERATORS, Concat, Gather, General
from tinygen.operators.attention.schedule import attention_schedules
from tinygen.operators.draw import Draw
from tinygen.planner import AttentionSchedule, Options, cost, make_plan
from tinygen.project import create_project, promise, random_samples
from tinygen.runner import run
from tinygen.runner.console import Console
from tinygen.runner.elf import read_elf
from tinygen.runner.unicorn import _Machine
from tinygen.targets import get_target
from tinygen.targets.measured import every, measured

CORES = (
    ("armv7em", "mps2_an386"),
    ("armv7em", "mps2_an500"),
    ("portable", "mps2_an386"),
    ("portable", "mps2_an385"),
)
PIPELINES = {"cortex-m7": (pipelines.m7, "in-order, two instructions a cycle")}
"""Model of a core's pipeline (cycles.py, model b), and its name."""
TABLE = (pipelines.m4, "table of the Cortex-M4 reference manual")
BAR = 0.10
GENERAL_BAR = 0.25
"""General operators: their loops compile in several forms, chosen by stride as they run."""
MAKERS = tuple(o for o in OPERATORS if issubclass(o, General))
GENERAL = {maker.word for maker in MAKERS}
GROW = 8
"""Sizes of general operators, as many times those of their tests."""
SMALL = 100


@dataclass(frozen=True)
class Layer:
    """One equation: the rounds of its loops make so many instructions and cycles."""

    op: str
    name: str
    features: cost.Counts
    instructions: int
    cycles: int


# -- networks ------------------------------------------------------------------------------------


class Drawn(GraphBuilder):
    """Weights of every form that strips take (tinygen.targets.strips)."""

    def weight(self, *shape: int) -> I8:
        out = super().weight(*shape)
        flat = out.reshape(shape[0], -1) if out.size else out
        at = ((), (1, 3), (0, 2))[int(self.rng.integers(3))]
        if at and len(flat) > 1 and flat.shape[1] > at[1]:  # neither it nor its negative fits
            flat[1, at], flat[0, at] = -128, (-5, 5)
        return out


def whole_norm(b: GraphBuilder, e: int) -> ops.LayerNorm:
    """As QuantLib's iLayerNorm."""
    op = b.norm(e)
    frac = 15 - math.ceil(math.log2(3 * e) / 2)
    return dataclasses.replace(op, eps_term=7, frac=frac, s=frac + 4, whole=True)


def norm_in_steps(b: GraphBuilder, e: int) -> ops.LayerNorm:
    """As of a model that keeps variances in 8 bits."""
    op = b.norm(e)
    frac = 15 - math.ceil(math.log2(4 * e) / 2)
    return dataclasses.replace(op, frac=frac, s=frac + 4, step=50 * e * e * 256, most=127)


def dot_product(b: GraphBuilder, rows: int, keys: int, width: int, kind: int) -> ops.Operator:
    """Attention by itself, with a mask, with weights in steps or with neither."""
    heads = int(b.rng.choice([h for h in (1, 2, 3, 4, 6, 8) if width % h == 0]))
    mask, steps, base = None, None, b.attention(4, width // heads, heads)
    if kind == 1:
        mask = np.tril(np.ones((rows, keys), np.uint8), max(0, keys - rows))
    if kind == 2:
        steps = ops.WeightSteps(127 << 8, 8, 127)
    zeros = (int(z) for z in b.rng.integers(-9, 9, 3))
    score = base.score
    if b.rng.integers(4):  # the usual shift, for which some kernels have a shorter way
        score = Requant(score.m << 10, 32, score.zp)
    return ops.DotProductAttention(
        heads, *zeros, score, base.exp_table, 15, base.context, mask, steps
    )


def with_levels(op: ops.Attention) -> ops.Attention:
    """As QuantLib's iSoftmax."""
    return dataclasses.replace(op, levels=255, rv=dataclasses.replace(op.rv, zp=0))


def rows_network(rng: np.random.Generator, rows: int, layers: int) -> Graph:
    """Products, norms, residuals and tables on the same rows."""
    width = int(rng.integers(3, 40))
    b = Drawn((max(1, rows - 1), width), int(rng.integers(1 << 30)), "rows")
    if rows > 1:
        b.add("cls", ops.PrependTokens(b.int8(1, width)))
    for i in range(layers):
        n = int(np.exp(rng.uniform(0, np.log(320))))
        b.add(f"l{i}", b.linear(n, width, table=bool(rng.integers(2))))
        width = n
        other = b.int8(rows, width)
        wide = other.astype(np.int16) * 9
        b.add(f"a{i}", ops.Add(11000, 9000, 1 << 13, 14, wide if i % 4 == 0 else other))
        b.add(f"t{i}", ops.Lut(b.table()))
        if width > 1:
            norm = {1: whole_norm, 3: norm_in_steps}.get(i % 4, Drawn.norm)
            b.add(f"n{i}", norm(b, width))
    b.add("mean", ops.MeanPool(-rows, Requant(np.array([(1 << 20) // rows], np.int32), 20, 0)))
    return b.graph()


def dot_product_network(rng: np.random.Generator, tokens: int, layers: int = 9) -> Graph:
    """Attention whose projections are layers of their own."""
    width = int(rng.integers(4, 30))
    b = Drawn((tokens, width), int(rng.integers(1 << 30)), "dot")
    for i in range(layers):
        x, n = b.last, int(rng.integers(4, 65))
        q, k, v = (b.add(f"{w}{i}", b.linear(n, width), x) for w in "qkv")
        b.add(f"dot{i}", dot_product(b, tokens, tokens, n, i % 3), q, k, v)
        width = n
    return b.graph()


def copy_network(rng: np.random.Generator, layers: int = 6) -> Graph:
    """Token ids through a table, then tokens before tokens, of many widths."""
    b = GraphBuilder((int(rng.integers(1, 12)),), int(rng.integers(1 << 30)), "copy")
    draw = Draw(int(rng.integers(1 << 30)), 2)
    (table,) = (o for o in OPERATORS if o.float_form is not None and o.float_form.ids)
    for i in range(layers):  # the last one is read
        b.add(f"ids{i}", table.random(draw).op, "x")
    width = b.values[b.last].shape[1]
    for i in range(layers):
        b.add(f"cls{i}", ops.PrependTokens(b.int8(1, width)))
        n = int(np.exp(rng.uniform(0, np.log(100))))
        b.add(f"l{i}", b.linear(n, width))
        width = n
    return b.graph()


def conv_network(rng: np.random.Generator, layers: int = 4) -> Graph:
    """Convolutions one after the other, the first on channels, the others on tokens."""
    c, h, w = (int(rng.integers(*r)) for r in ((1, 9), (12, 24), (12, 24)))
    b = Drawn((c, h, w), int(rng.integers(1 << 30)), "conv")
    for i in range(layers):
        kernel = (min(h, int(rng.integers(1, 6))), min(w, int(rng.integers(1, 6))))
        stride = (int(rng.integers(1, 3)), int(rng.integers(1, 3)))
        n, pad = int(rng.integers(2, 48)), int(rng.integers(2))
        k = c * kernel[0] * kernel[1]
        op = ops.Conv(
            *(b.weight(n, c, *kernel), b.bias(n), b.requant(n, k), stride, (pad,) * 4),
            channels_last=i > 0,
        )
        b.add(f"conv{i}", op)
        (h, w), c = op.plane(h, w), n
        b.add(f"plane{i}", ops.Reshape((h, w, n)))
    for i in range(2):
        kernel = min(h, int(rng.integers(1, 4))), min(w, int(rng.integers(1, 4)))
        pad = int(min(kernel) > 1)
        pool = ops.MaxPool(kernel, (1, int(rng.integers(1, 3))), (pad,) * 4)
        b.add(f"max{i}", pool)
        h, w = pool.plane(h, w)
        b.add(f"pooled{i}", ops.Reshape((h, w, c)))
    b.add("tokens", ops.Reshape((h * w, c)))
    b.add("cls", ops.PrependTokens(b.int8(1, c)))
    return b.graph()


def attention_network(
    rng: np.random.Generator, tokens: int, layers: int, compact: bool
) -> tuple[Graph, dict[str, AttentionSchedule]]:
    e = int(rng.integers(8, 65))
    b = Drawn((tokens, e), int(rng.integers(1 << 30)), "attn")
    chosen = {}
    every = list(attention_schedules(tokens, compact=(False, True) if compact else (False,)))
    fusions = ops.FUSIONS
    for i in range(layers):
        p, h = int(rng.choice([2, 3, 4, 8, 12, 16, 24, 32, 48])), int(rng.integers(1, 9))
        fusion = fusions[int(rng.integers(len(fusions)))] if i % 3 == 2 else "unfused"
        op = b.attention(e, p, h, fusion=fusion)
        b.add(f"m{i}", with_levels(op) if i % 6 == 1 else op)
        kind = rng.choice(["whole", "depth-first", "head-streaming"])
        mine = [s for s in every if s.kind == kind and (fusion == "unfused" or not s.compact)]
        chosen[f"m{i}"] = mine[int(rng.integers(len(mine)))]
    return b.graph(), chosen


def general_network(seed: int) -> Graph:
    """General operators, each on values of its own that lie in the input, all read at the end."""
    b = GraphBuilder((1 << 16,), seed, "general")
    ends: list[str] = []
    draw = Draw(seed, GROW)
    for i, case in enumerate(o.random(draw) for o in MAKERS for _ in range(4)):
        if max(x.size for x in case.inputs) > 1 << 15:
            continue
        inputs = []
        for k, x in enumerate(case.inputs):
            at = np.array([b.rng.integers(0, (1 << 16) - x.size + 1)], np.int32)
            part = b.add(f"part{i}_{k}", Gather((1, x.size), at, x.size), "x")
            inputs.append(b.add(f"shaped{i}_{k}", ops.Reshape(x.shape), part))
        ends.append(b.add(f"general{i}", case.op, *inputs))
    sizes = tuple(math.prod(b.values[e].shape) for e in ends)
    b.add("all", Concat((1, sum(sizes)), 1, sizes), *ends)
    return b.graph()


# -- measuring -----------------------------------------------------------------------------------


def board_for(target: str, name: str) -> Board:
    board = load_board(name)
    return board.model_copy(update={"core": board.core.model_copy(update={"target": target})})


class CycleMachine(_Machine):
    """Where others count instructions, this one adds up estimated cycles."""

    code: bench.Code
    pipeline: Callable[[Sequence[pipelines.Instruction], bool], float]

    def _count_blocks(self) -> int:
        costs: dict[tuple[int, int], tuple[int, int]] = {}
        last: list[int] = [0, 0, 0]  # where the block before ends, its cycles as it falls through

        def on_block(uc: object, address: int, size: int, _: object) -> None:
            self._instructions += last[2] if address != last[0] else last[1]
            known = costs.get((address, size))
            if known is None:
                block = self.code.block(address, size)
                known = round(self.pipeline(block, False)), round(self.pipeline(block, True))
                costs[address, size] = known
            last[:] = address + size, *known

        return int(self._uc.hook_add(self._unicorn.UC_HOOK_BLOCK, on_block))


def count_cycles(elf: Path, board: Board) -> tuple[int, ...]:
    """Estimated cycles of each layer of the first sample."""
    import unicorn

    machine = CycleMachine(unicorn, board, read_elf(elf), 1)
    machine.code = bench.disassemble(elf)
    machine.pipeline = PIPELINES.get(board.core.cpu, TABLE)[0]
    console = Console(None)
    machine.run(console, 600, elf.name)
    return console.samples[0].counts


def measure(
    graph: Graph,
    board: Board,
    target: str,
    schedules: Mapping[str, AttentionSchedule] | None = None,
    estimate: bool = True,
) -> list[Layer]:
    plan = make_plan(graph, board, Options(schedules=schedules or {}))
    assert plan.target == target
    samples = promise(graph, random_samples(graph, 1), None)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "fit"
        create_project(plan, samples, "baremetal", folder)
        result = run(folder, board, "qemu")
        if not result.passed:
            raise SystemExit(f"{graph.name}: wrong outputs, nothing is fitted")
        counts = [layer.count or 0 for layer in result.layers]
        took = count_cycles(result.elf, board) if estimate else [0] * len(counts)
    return [
        Layer(s.op, f"{s.name} {s.schedule}", cost.features(s, plan.target), *measured)
        for s, *measured in zip(plan.steps, counts, took, strict=True)
    ]


def collect(board: Board, target: str, seed: int, scale: float) -> list[Layer]:
    rng = np.random.default_rng(seed)
    layers: list[Layer] = []
    for rows in (1, 1, 2, 2, 3, 5, 6, 16, 37, 81)[: max(3, round(10 * scale))]:
        layers += measure(rows_network(rng, rows, 12), board, target)
    for _ in range(max(2, round(10 * scale))):
        layers += measure(conv_network(rng), board, target)
    for _ in range(max(2, round(10 * scale))):
        layers += measure(copy_network(rng), board, target)
    own = np.random.default_rng(seed + 1)  # the other networks stay as they were
    for tokens in (1, 4, 9, 16, 25, 40, 66, 81)[:: 1 if scale >= 1 else 3]:
        layers += measure(dot_product_network(own, tokens), board, target)
    compact = get_target(target).compact() is not None
    for tokens in (1, 5, 9, 17, 23, 33, 50, 66, 81, 128, 150, 197)[:: 1 if scale >= 1 else 3]:
        graph, chosen = attention_network(rng, tokens, 18, compact)
        layers += measure(graph, board, target, chosen)
    return layers + general_layers(board, target, seed, scale)


def general_layers(board: Board, target: str, seed: int, scale: float) -> list[Layer]:
    seeds = range(100 * seed, 100 * seed + max(2, round(12 * scale)))
    found = [la for s in seeds for la in measure(general_network(s), board, target)]
    return [la for la in found if la.name.startswith("general")]


# -- fitting -------------------------------------------------------------------------------------


def split(layers: list[Layer]) -> tuple[list[Layer], list[Layer]]:
    """Three of four layers of every operator, and the fourth."""
    kept, held = [], []
    for op in sorted({la.op for la in layers}):
        mine = [la for la in layers if la.op == op]
        order = np.random.default_rng(0).permutation(len(mine))
        held += [mine[i] for i in order[::4]]
        kept += [mine[i] for n, i in enumerate(order) if n % 4]
    return kept, held


def matrix(layers: list[Layer], names: list[str]) -> NDArray[np.float64]:
    return np.array([[la.features.get(n, 0.0) for n in names] for la in layers], np.float64)


def nnls(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lawson and Hanson's non-negative least squares."""
    n = a.shape[1]
    x, active = np.zeros(n), np.zeros(n, bool)
    for _ in range(3 * n):
        w = a.T @ (b - a @ x)
        w[active] = -np.inf
        j = int(np.argmax(w))
        if w[j] <= 1e-9:
            break
        active[j] = True
        while True:
            z = np.zeros(n)
            z[active] = np.linalg.lstsq(a[:, active], b, rcond=None)[0]
            if np.all(z[active] > 0):
                break
            bad = active & (z <= 0)
            step = np.min(x[bad] / (x[bad] - z[bad] + 1e-30))
            x = x + step * (z - x)
            active &= x > 1e-12
            x[~active] = 0
        x = z
    return x


def fit(layers: list[Layer], measured: Sequence[int]) -> dict[str, float]:
    names = sorted({n for la in layers for n in la.features})
    a, b = matrix(layers, names), np.array(measured, np.float64)
    weight = 1 / (b + 20)  # relative errors; a few instructions do not matter
    a, b = a * weight[:, None], b * weight
    scale = np.maximum(np.abs(a).max(axis=0), 1e-30)
    x = nnls(a / scale, b) / scale
    return {n: float(f"{v:.5g}") for n, v in zip(names, x, strict=True) if v > 0}


def off(costs: Mapping[str, float], layer: Layer, measured: int) -> float:
    """Relative error of a prediction; a layer of fewer than `SMALL` counts as one of so many."""
    return (cost.total(costs, layer.features) - measured) / max(SMALL, measured)


Errors = dict[str, dict[str, float]]


def errors(model: cost.CostModel, layers: list[Layer]) -> tuple[Errors, Errors]:
    """Of instructions and of cycles: operator -> layers, mean and largest relative error."""
    found: tuple[Errors, Errors] = {}, {}
    for op in sorted({la.op for la in layers}):
        mine = [la for la in layers if la.op == op]
        for out, costs, counted in (
            (found[0], model.instructions, [la.instructions for la in mine]),
            (found[1], model.cycles, [la.cycles for la in mine]),
        ):
            apart = [abs(off(costs, la, n)) for la, n in zip(mine, counted, strict=True)]
            out[op] = {"layers": len(mine), "mean": float(np.mean(apart)), "max": max(apart)}
    return found


def bar(op: str) -> float:
    """What a prediction may be off."""
    return GENERAL_BAR if op in GENERAL else BAR


def fit_core(
    target: str, board_name: str, scale: float, general: bool
) -> tuple[str, dict[str, Any]]:
    """general: only these operators, which share no loop with the others."""
    board = board_for(target, board_name)
    layers = (general_layers if general else collect)(board, target, 1, scale)
    kept, held = split(layers)
    instructions = fit(kept, [la.instructions for la in kept])
    cycles = fit(kept, [la.cycles for la in kept])
    name = PIPELINES.get(board.core.cpu, TABLE)[1]
    model = cost.CostModel(target, board.core.cpu, instructions, cycles, {}, name)
    found = errors(model, held)
    print(f"{target} on {board.core.cpu}: {len(kept)} layers fitted, {len(held)} held back")
    show(found)
    for la in sorted(held, key=lambda la: -abs(off(instructions, la, la.instructions)))[:6]:
        counted = cost.total(instructions, la.features)
        print(f"    worst: {la.op} {la.name}: {la.instructions} is {counted}")
    return board.core.cpu, {
        "fitted_layers": len(kept),
        "held_back_layers": len(held),
        "cycle_model": name,
        "error": _rounded(found, "max"),
        "mean_error": _rounded(found, "mean"),
        "instructions": instructions,
        "cycles": cycles,
    }


def joined(known: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """A fit with the general operators fitted anew."""
    both = dict(known)
    for what in ("instructions", "cycles"):
        others = {k: v for k, v in known[what].items() if not k.startswith("general.")}
        both[what] = {**others, **found[what]}
    for what in ("error", "mean_error"):
        both[what] = {k: {**known[what][k], **found[what][k]} for k in known[what]}
    return both


def _rounded(found: tuple[Errors, Errors], which: str) -> dict[str, dict[str, float]]:
    return {
        what: {op: round(e[which], 4) for op, e in of.items()}
        for what, of in zip(("instructions", "cycles"), found, strict=True)
    }


def show(found: tuple[Errors, Errors]) -> None:
    for op, e in found[0].items():
        c = found[1][op]
        print(
            f"  {op:10} {e['layers']:4} layers, instructions mean {e['mean']:.1%} max "
            f"{e['max']:.1%}, cycles mean {c['mean']:.1%} max {c['max']:.1%}"
        )


def check(target: str, board_name: str, seed: int = 99, scale: float = 0.3) -> list[str]:
    """Sentences about operators whose instructions are more than `BAR` off on fresh shapes."""
    board = board_for(target, board_name)
    model = cost.load_cost_model(target, board.core.cpu)
    assert model is not None
    found = errors(model, collect(board, target, seed, scale))
    print(f"{target} on {board.core.cpu}: fresh shapes against the present fit")
    show(found)
    return [
        f"{target} on {board.core.cpu}: {op} is up to {e['max']:.1%} off"
        for op, e in found[0].items()
        if e["max"] > bar(op)
    ]


# -- reporting -----------------------------------------------------------------------------------

START, END = "<!-- costs -->", "<!-- end of costs -->"


def table() -> str:
    """Published errors as README.md has them."""
    ops_ = [o.word for o in OPERATORS if o.word not in GENERAL and not o.is_view]
    lines = [f"| target | core | fitted, held back | {' | '.join(ops_)} |"]
    lines.append("|---" * (len(ops_) + 3) + "|")
    for path in every("costs"):
        for cpu, fitted in sorted(json.loads(path.read_text()).items()):
            cells = [
                " / ".join(
                    f"{100 * fitted['error'][what][op]:.1f}" for what in ("instructions", "cycles")
                )
                for op in ops_
            ]
            sizes = f"{fitted['fitted_layers']}, {fitted['held_back_layers']}"
            lines.append(f"| {path.parent.name} | {cpu} | {sizes} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *general_table()])


def general_table() -> list[str]:
    """The same of the general operators, one a row: mean, then largest."""
    fits = [
        (f"{path.parent.name}, {cpu}", fitted)
        for path in every("costs")
        for cpu, fitted in sorted(json.loads(path.read_text()).items())
    ]
    lines = [f"| general operator | {' | '.join(name for name, _ in fits)} |"]
    lines.append("|---" * (len(fits) + 1) + "|")
    for op in sorted(GENERAL):
        cells = [
            " / ".join(f"{100 * fit[of]['instructions'][op]:.1f}" for of in ("mean_error", "error"))
            for _, fit in fits
        ]
        lines.append(f"| {op} | {' | '.join(cells)} |")
    return lines


def update_readme() -> None:
    readme = Path(__file__).with_name("README.md")
    before, rest = readme.read_text().split(START)
    readme.write_text(f"{before}{START}\n{table()}\n{END}{rest.split(END)[1]}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--target", choices=sorted({t for t, _ in CORES}))
    parser.add_argument("--board", help="only this one; the other cores keep their fits")
    parser.add_argument("--quick", action="store_true", help="fewer networks")
    parser.add_argument("--general", action="store_true", help="fit the general operators alone")
    parser.add_argument("--check", action="store_true", help="measure the present fit, write none")
    args = parser.parse_args()
    wrong = []
    for target, board_name in CORES:
        if args.target not in (None, target) or args.board not in (None, board_name):
            continue
        if args.check:
            wrong += check(target, board_name)
            continue
        cpu, found = fit_core(target, board_name, 0.4 if args.quick else 1.0, args.general)
        path = measured(target, "costs")
        known = json.loads(path.read_text()) if path.exists() else {}
        if args.general:
            found = joined(known[cpu], found)
        path.write_text(json.dumps({**known, cpu: found}, indent=1, sort_keys=True) + "\n")
        print(f"wrote {path}")
        cost.load_cost_model.cache_clear()
    if not args.check:
        update_readme()
    for line in wrong:
        print(f"fit_costs: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
