# SPDX-License-Identifier: Apache-2.0
"""Fit the planner's cost model to exact instruction counts from QEMU.

    python benchmarks/fit_costs.py                  fit every core, write the planner's data files
    python benchmarks/fit_costs.py --check          compare the present fit with fresh shapes only

Random networks (seeded) run in the emulator; every layer gives one equation: the counts of
`tinygen.planner.cost.features` times unknown coefficients are the instructions it took. Three of
four layers are fitted (non-negative least squares on relative errors), the fourth is held back;
the errors that are published are those of the layers held back.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from graphs import GraphBuilder
from tinygen.boards import Board, load_board
from tinygen.graph import Graph, ops
from tinygen.graph.shapes import conv_output
from tinygen.planner import AttentionSchedule, Options, cost, make_plan
from tinygen.planner.schedule import attention_schedules
from tinygen.project import create_project, promise, random_samples
from tinygen.runner import run
from tinygen.targets import get_target

CORES = (("armv7em", "mps2_an386"), ("armv7em", "mps2_an500"), ("portable", "mps2_an386"))
CPI = {"cortex-m4": 1.25, "cortex-m7": 0.8}
"""Cycles an instruction with zero-wait-state memory: assumptions in the range that static models of
both pipelines give for these kernels, to be replaced by measurements on silicon."""


@dataclass(frozen=True)
class Layer:
    """One equation. measured: instructions."""

    op: str
    name: str
    features: cost.Features
    measured: int


# -- networks ------------------------------------------------------------------------------------


def rows_network(rng: np.random.Generator, rows: int, layers: int) -> Graph:
    """Products, norms, residuals and tables on the same rows."""
    width = int(rng.integers(3, 40))
    b = GraphBuilder((rows, width), int(rng.integers(1 << 30)), "rows")
    for i in range(layers):
        n = int(np.exp(rng.uniform(0, np.log(160))))
        b.add(f"l{i}", b.linear(n, width, table=bool(rng.integers(2))))
        width = n
        b.add(f"a{i}", ops.Add(11000, 9000, 1 << 13, 14, b.int8(rows, width)))
        b.add(f"t{i}", ops.Lut(b.table()))
        if width > 1:
            b.add(f"n{i}", b.norm(width))
    b.add("mean", ops.MeanPool(-rows, ops.Requant(np.array([(1 << 20) // rows], np.int32), 20, 0)))
    return b.graph()


def conv_network(rng: np.random.Generator, layers: int = 4) -> Graph:
    """Convolutions one after the other, the first on channels, the others on tokens."""
    c, h, w = (int(rng.integers(*r)) for r in ((1, 9), (12, 24), (12, 24)))
    b = GraphBuilder((c, h, w), int(rng.integers(1 << 30)), "conv")
    for i in range(layers):
        kernel = (min(h, int(rng.integers(1, 6))), min(w, int(rng.integers(1, 6))))
        stride = (int(rng.integers(1, 3)), int(rng.integers(1, 3)))
        n, pad = int(rng.integers(2, 48)), int(rng.integers(2))
        k = c * kernel[0] * kernel[1]
        op = ops.Conv(
            *(b.int8(n, c, *kernel), b.bias(n), b.requant(n, k), stride, (pad,) * 4),
            channels_last=i > 0,
        )
        b.add(f"conv{i}", op)
        (h, w), c = conv_output(op, h, w), n
        b.add(f"plane{i}", ops.Reshape((h, w, n)))
    b.add("tokens", ops.Reshape((h * w, c)))
    b.add("cls", ops.PrependTokens(b.int8(1, c)))
    return b.graph()


def attention_network(
    rng: np.random.Generator, tokens: int, layers: int, compact: bool
) -> tuple[Graph, dict[str, AttentionSchedule]]:
    e = int(rng.integers(8, 65))
    b = GraphBuilder((tokens, e), int(rng.integers(1 << 30)), "attn")
    chosen = {}
    every = list(attention_schedules(tokens, compact=(False, True) if compact else (False,)))
    for i in range(layers):
        p, h = int(rng.choice([2, 3, 4, 8, 12, 16, 24, 32, 48])), int(rng.integers(1, 9))
        b.add(f"m{i}", b.attention(e, p, h))
        kind = rng.choice(["whole", "depth-first", "head-streaming"])
        chosen[f"m{i}"] = [s for s in every if s.kind == kind][
            int(rng.integers(sum(s.kind == kind for s in every)))
        ]
    return b.graph(), chosen


# -- measuring -----------------------------------------------------------------------------------


def board_for(target: str, name: str) -> Board:
    board = load_board(name)
    return board.model_copy(update={"core": board.core.model_copy(update={"target": target})})


def measure(graph: Graph, board: Board, options: Options) -> list[Layer]:
    plan = make_plan(graph, board, options)
    samples = promise(graph, random_samples(graph, 1), None)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "fit"
        create_project(plan, samples, "baremetal", folder)
        result = run(folder, board, "qemu")
    if not result.passed:
        raise SystemExit(f"{graph.name}: wrong outputs, nothing is fitted")
    return [
        Layer(s.op, f"{s.name} {s.schedule}", cost.features(s, plan.target), count.count or 0)
        for s, count in zip(plan.steps, result.layers, strict=True)
    ]


def collect(board: Board, seed: int, scale: float) -> list[Layer]:
    rng = np.random.default_rng(seed)
    layers: list[Layer] = []
    for rows in (1, 1, 2, 2, 3, 5, 6, 16, 37, 81)[: max(3, round(10 * scale))]:
        layers += measure(rows_network(rng, rows, 12), board, Options())
    for _ in range(max(2, round(8 * scale))):
        layers += measure(conv_network(rng), board, Options())
    compact = get_target(board.core.target).compact() is not None
    for tokens in (1, 5, 9, 17, 23, 33, 50, 66, 81, 128, 197)[:: 1 if scale >= 1 else 3]:
        graph, chosen = attention_network(rng, tokens, 14 if compact else 8, compact)
        layers += measure(graph, board, Options(schedules=chosen))
    return layers


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


def fit(layers: list[Layer]) -> dict[str, float]:
    names = sorted({n for la in layers for n in la.features})
    a, b = matrix(layers, names), np.array([la.measured for la in layers], np.float64)
    weight = 1 / (b + 50)  # relative errors; a few instructions do not matter
    a, b = a * weight[:, None], b * weight
    scale = np.maximum(np.abs(a).max(axis=0), 1e-30)
    x = nnls(a / scale, b) / scale
    return {n: float(f"{v:.5g}") for n, v in zip(names, x, strict=True) if v > 0}


def errors(model: cost.CostModel, layers: list[Layer]) -> dict[str, dict[str, float]]:
    """By operator: layers, mean and largest relative error."""
    out = {}
    for op in sorted({la.op for la in layers}):
        mine = [la for la in layers if la.op == op]
        off = [abs(model.evaluate(la.features) / max(1, la.measured) - 1) for la in mine]
        out[op] = {"layers": len(mine), "mean": float(np.mean(off)), "max": float(max(off))}
    return out


def fit_core(target: str, board_name: str, scale: float) -> tuple[str, dict[str, Any]]:
    board = board_for(target, board_name)
    layers = collect(board, 1, scale)
    kept, held = split(layers)
    coefficients = fit(kept)
    model = cost.CostModel(target, board.core.cpu, coefficients, {}, 1.0)
    found = errors(model, held)
    print(f"{target} on {board.core.cpu}: {len(kept)} layers fitted, {len(held)} held back")
    for op, e in found.items():
        print(f"  {op:10} {e['layers']:4} held back, error mean {e['mean']:.1%} max {e['max']:.1%}")
    for la in sorted(held, key=lambda la: -abs(model.evaluate(la.features) / la.measured - 1))[:5]:
        print(f"    worst: {la.op} {la.name}: {la.measured} is {model.evaluate(la.features)}")
    return board.core.cpu, {
        "fitted_layers": len(kept),
        "held_back_layers": len(held),
        "cpi": CPI[board.core.cpu],
        "error": {op: round(e["max"], 4) for op, e in found.items()},
        "mean_error": {op: round(e["mean"], 4) for op, e in found.items()},
        "coefficients": coefficients,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", choices=sorted({t for t, _ in CORES}))
    parser.add_argument("--board", help="only this one; the other cores keep their fits")
    parser.add_argument("--quick", action="store_true", help="fewer networks")
    parser.add_argument("--check", action="store_true", help="measure the present fit, write none")
    args = parser.parse_args()
    for target in sorted({t for t, _ in CORES if args.target in (None, t)}):
        fits = {}
        for t, board_name in CORES:
            if t != target or args.board not in (None, board_name):
                continue
            if args.check:
                board = board_for(target, board_name)
                model = cost.load_cost_model(target, board.core.cpu)
                assert model is not None
                print(f"{target} on {board.core.cpu}: fresh shapes against the present fit")
                for op, e in errors(model, collect(board, 99, 0.3)).items():
                    print(
                        f"  {op:10} {e['layers']:4} layers, mean {e['mean']:.1%} max {e['max']:.1%}"
                    )
                continue
            cpu, found = fit_core(target, board_name, 0.4 if args.quick else 1.0)
            fits[cpu] = found
        if fits:
            path = cost.FOLDER / f"{target}.json"
            kept = json.loads(path.read_text()) if args.board and path.exists() else {}
            path.write_text(json.dumps({**kept, **fits}, indent=1, sort_keys=True) + "\n")
            print(f"wrote {path}")


if __name__ == "__main__":
    main()
