# SPDX-License-Identifier: Apache-2.0
"""Fit the cluster's cost model to cycles from GVSoC; see gen/tinygen/planner/cluster_cost.py.

    TINYGEN_PULP_SDK=<script that sets up the SDK> python benchmarks/fit_cluster.py

As in fit_costs.py, random networks (seeded) give one equation a layer, three of four are fitted,
and the published errors are those of the layers held back. Each network runs twice, as importers
make it and with short arithmetic. The held-back layers' counts and measurements go to
tests/planner/cluster_cycles.json, which a test holds the model against. The example models are not
among the networks: benchmarks/cluster.py runs them.
"""

from __future__ import annotations

import json
import pickle
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fit_costs import (
    GraphBuilder,
    Layer,
    conv_network,
    dot_product_network,
    matrix,
    nnls,
    norm_in_steps,
    off,
    rows_network,
    split,
)
from tinygen import operators as ops
from tinygen.boards import load_board
from tinygen.errors import TinygenError
from tinygen.graph import Graph, verify
from tinygen.numeric import Requant
from tinygen.operators import Fusion
from tinygen.passes.short import narrow_weights
from tinygen.planner import cluster_cost, cost, make_plan
from tinygen.planner import plan as p
from tinygen.project import create_project, promise, random_samples
from tinygen.runner import run
from tinygen.targets.measured import measured

BOARD = load_board("pulp_open")
HELD = Path(__file__).resolve().parents[1] / "tests" / "planner" / "cluster_cycles.json"
RAW = Path(__file__).resolve().parent / "out" / "cluster_layers.pickle"
SHAPES = {  # tokens -> e, p, h of the layers; of both ways to share out
    2: ((16, 4, 8), (32, 8, 3), (48, 32, 8), (24, 12, 12)),
    3: ((32, 8, 12), (64, 16, 8), (12, 4, 2)),
    5: ((32, 32, 8), (24, 8, 3), (64, 16, 4), (16, 2, 8), (40, 8, 12), (32, 16, 8)),
    6: ((32, 32, 8), (24, 8, 3), (64, 16, 4)),
    9: ((8, 4, 3), (48, 24, 2), (64, 32, 8), (20, 6, 8)),
    17: ((16, 16, 8), (40, 8, 12), (64, 64, 2), (32, 2, 8)),
    32: ((32, 8, 16), (24, 8, 8), (64, 64, 8), (16, 2, 4)),
    50: ((32, 16, 4), (16, 2, 8), (64, 16, 8), (24, 3, 8)),
    66: ((16, 2, 8), (32, 32, 1), (48, 16, 8), (20, 8, 5)),
    81: ((32, 32, 8), (16, 8, 8), (32, 16, 8)),
    40: ((16, 2, 8), (24, 2, 5)),
    70: ((16, 2, 8), (20, 2, 12)),
}
FUSED: dict[int, tuple[tuple[int, int, int, Fusion], ...]] = {
    5: (
        *((32, 32, 8, "fused-scores"), (24, 8, 3, "fused"), (32, 16, 8, "fused-values")),
        *((32, 32, 8, "fused"), (20, 6, 12, "fused"), (16, 16, 8, "fused-scores")),
    ),
    3: ((32, 16, 8, "fused"), (24, 8, 12, "fused-scores"), (16, 16, 3, "fused")),
    17: ((16, 16, 8, "fused"), (40, 8, 12, "fused-values"), (32, 32, 5, "fused-scores")),
    33: ((48, 24, 2, "fused"), (24, 8, 8, "fused-values"), (64, 32, 4, "fused-scores")),
    50: ((32, 16, 4, "fused-scores"), (16, 2, 8, "fused"), (64, 16, 8, "fused")),
    66: ((16, 2, 8, "fused-scores"), (32, 32, 1, "fused"), (20, 8, 5, "fused-values")),
}


def attention_network(tokens: int) -> Graph:
    """Between products, so that the instruction cache holds something else before."""
    b = GraphBuilder((tokens, 12), tokens, "attn")
    width = 12
    for i, (e, width_of_head, h) in enumerate(SHAPES[tokens]):
        b.add(f"before{i}", b.linear(e, width, table=i % 2 == 1))
        b.add(f"attention{i}", b.attention(e, width_of_head, h))
        width = e
    b.add("norm", b.norm(width))
    return b.graph()


def fused_network(tokens: int) -> Graph:
    b = GraphBuilder((tokens, 12), tokens, "fused")
    width = 12
    for i, (e, width_of_head, h, form) in enumerate(FUSED[tokens]):
        b.add(f"before{i}", b.linear(e, width, table=i % 2 == 1))
        b.add(f"attention{i}", b.attention(e, width_of_head, h, fusion=form))
        width = e
    b.add("norm", b.norm(width))
    return b.graph()


def all_bits(graph: Graph) -> Graph:
    """The same ratios to the tenth bit more, as importers make them."""
    rng = np.random.default_rng(0)

    def fine(r: Requant) -> Requant:
        low = rng.integers(0, 1 << 10, r.m.shape)
        return Requant(((r.m.astype(np.int64) << 10) + low).astype(np.int32), 32, r.zp)

    nodes = []
    for node in graph.nodes:
        fields: dict[str, Any] = {
            k: fine(v) for k, v in vars(node.op).items() if isinstance(v, Requant) and v.s == 22
        }
        nodes.append(replace(node, op=replace(node.op, **fields)))
    return verify(replace(graph, nodes=tuple(nodes)), integer=True)


def narrow(graph: Graph) -> Graph:
    """Attention weights of eight bits, whatever they lose."""
    nodes = [
        replace(n, op=narrow_weights(n.op) or n.op) if isinstance(n.op, ops.Attention) else n
        for n in graph.nodes
    ]
    return verify(replace(graph, nodes=tuple(nodes)), integer=True)


def networks() -> Iterator[Graph]:
    rng = np.random.default_rng(7)
    for rows in (1, 5, 16, 37, 81):
        yield rows_network(rng, rows, 6)
    for _ in range(8):
        yield conv_network(rng)
    for tokens in SHAPES:
        yield attention_network(tokens)
    for tokens in FUSED:
        yield fused_network(tokens)


PRIOR = {  # cycles, from the instructions of each loop and its stalls in GVSoC's trace
    **{"depth": 25, "lone.depth": 9.5, "linear.call": 1500, "linear.chunk": 900},
    **{"tile.high": 170, "tile.low": 95, "tile.clip": 115, "tile.wide": 600},
    **{"lone.high": 55, "lone.low": 42, "lone.clip": 42, "lone.wide": 400, "linear.group": 9},
    **{"linear.staged": 150, "table.call": 400, "table.row": 40},
    **{"score.high": 200, "score.low": 115, "score.clip": 120, "score.wide": 600},
    **{"pair.high": 150, "pair.low": 86, "pair.wide": 500, "context.pair.depth": 15},
    **{"context.wide": 135, "context.narrow": 200, "context.pair.wide": 150},
    **{"context.pair.narrow": 110, "ragged.wide": 12, "ragged.narrow": 12},
    **{"weight.wide": 25, "weight.narrow": 15.5, "row.wide": 190, "row.narrow": 95},
    **{"group.wide": 550, "group.narrow": 330, "block.wide": 100, "block.narrow": 700, "max": 9},
    **{"project": 500, "project.group": 30, "start": 12, "prepare": 9, "head": 900},
    **{"few.depth": 30, "few.tile.low": 200, "few.tile.high": 260, "few.score": 12, "few.key": 120},
    **{"few.weight": 16, "few.context.wide": 58, "few.context.narrow": 45, "few.context": 15},
    **{"few.call": 3500, "few.head": 500, "few.values": 60},
    **{"few.linear.call": 700, "few.interleave": 30},
    **{"load.keys": 22, "load.values": 40},
    **{"attention.call": 8000, "bytes": 0.15, "table": 4, "ragged": 8},
    **{"conv.tap": 6, "conv.place": 20, "conv.window": 120, "conv.bytes": 5},
    **{"conv.block": 250, "conv.call": 4000},
}
TRUST = 0.15
"""How far a cost goes from its prior is weighed like this much relative error of a layer."""
Raw = tuple[str, p.Step, int]
"""Network, step, cycles."""


def measure(graph: Graph) -> list[Raw]:
    try:
        plan = make_plan(graph, BOARD)
    except TinygenError as e:  # too large
        print(e)
        return []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "fit"
        create_project(plan, promise(graph, random_samples(graph, 2), None), "pulp-sdk", folder)
        result = run(folder, BOARD, "gvsoc")
    if not result.passed:
        raise SystemExit(f"{graph.name}: wrong outputs, nothing is fitted")
    pairs = list(zip(plan.steps, result.layers, strict=True))
    # the first has the transfer of the input in it
    return [(graph.name, step, found.count or 0) for step, found in pairs[1:]]


def fit_near(layers: list[Layer]) -> dict[str, float]:
    """Non-negative least squares of relative errors, near PRIOR: many loops occur together."""
    names = sorted({n for la in layers for n in la.features})
    measured = np.array([la.cycles for la in layers], np.float64)
    weight = 1 / (measured + 20)
    known = [n for n in names if n in PRIOR]
    near = np.array([[TRUST / PRIOR[n] * (m == n) for m in names] for n in known])
    near = near.reshape(len(known), len(names))
    a = np.vstack([matrix(layers, names) * weight[:, None], near])
    b = np.concatenate([measured * weight, np.full(len(known), TRUST)])
    scale = np.maximum(np.abs(a).max(axis=0), 1e-30)
    x = nnls(a / scale, b) / scale
    return {n: float(f"{v:.5g}") for n, v in zip(names, x, strict=True) if v > 0}


PLAIN = ("dot.", "norm_steps")
"""Beginnings of the names of `plain`'s loops."""


def _write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("[\n" + ",\n".join(json.dumps(r, sort_keys=True) for r in rows) + "\n]\n")


def plain() -> None:
    """What plain C adds: attention on given q, k and v, norms with their variance in steps.

    All other coefficients stay as they are; so does the table of layers held back.
    """
    own, known = np.random.default_rng(11), cluster_cost.coefficients("xpulpv2") or {}
    raw = RAW.with_name("cluster_plain.pickle")
    graphs = [dot_product_network(own, tokens, 6) for tokens in (4, 7, 16, 25, 40, 57)]
    for tokens in (3, 9, 24, 50):
        b = GraphBuilder((tokens, 8), tokens, "steps")
        for i, width in enumerate((16, 33, 64)):
            b.add(f"l{i}", b.linear(width, 8 if i == 0 else (16, 33)[i - 1]))
            b.add(f"n{i}", norm_in_steps(b, width))
        graphs.append(b.graph())
    if "--again" not in sys.argv:
        raw.parent.mkdir(exist_ok=True)
        raw.write_bytes(pickle.dumps([r for g in graphs for r in measure(all_bits(g))]))
    layers, rest = [], {}
    for i, (network, step, cycles) in enumerate(pickle.loads(raw.read_bytes())):
        counts = cluster_cost.features(step, BOARD.core.count)
        own_loops = Counter({n: c for n, c in counts.items() if n.startswith(PLAIN)})
        if own_loops:
            name = f"{network} {step.name}, layer {i}"
            rest[name] = counts - own_loops
            left = cycles - cost.total(known, rest[name])
            layers.append(Layer(step.op, name, own_loops, 0, left))
    kept, held = split(layers)
    found = fit_near(kept)
    whole = {la.name: la.cycles + cost.total(known, rest[la.name]) for la in held}
    error: dict[str, list[float]] = {}
    for la in held:
        wrong = abs(cost.total(found, la.features) - la.cycles) / whole[la.name]
        error.setdefault(la.op, []).append(wrong)
    for op, every in error.items():
        print(f"{op:10} {len(every):4} held back, mean {np.mean(every):.1%} max {max(every):.1%}")
    rows = [
        {
            "op": la.op,
            "name": la.name,
            "cycles": whole[la.name],
            "features": dict(la.features + rest[la.name]),
        }
        for la in held
    ]
    _write_rows(HELD.with_name("cluster_cycles_plain.json"), rows)
    record = {
        "fitted_layers": len(kept),
        "held_back_layers": len(held),
        "error": {op: round(max(every), 4) for op, every in error.items()},
        "coefficients": found,
    }
    path = measured("xpulpv2", "cluster_costs_plain")
    path.write_text(json.dumps({"ri5cy": record}, indent=1, sort_keys=True) + "\n")


def main() -> None:
    """--again: fit what the last run measured, by the features that are counted now.
    --plain: only `plain`, likewise with --again."""
    if "--plain" in sys.argv:
        return plain()
    if "--again" not in sys.argv:
        raw = [r for g in networks() for form in (all_bits, narrow) for r in measure(form(g))]
        RAW.parent.mkdir(exist_ok=True)
        RAW.write_bytes(pickle.dumps(raw))
    layers = []
    for network, step, cycles in pickle.loads(RAW.read_bytes()):
        counts = cluster_cost.features(step, BOARD.core.count)
        if any(n.startswith(PLAIN) for n in counts):
            continue
        layers.append(Layer(step.op, f"{network} {step.name} {step.schedule}", counts, 0, cycles))
    kept, held = split(layers)
    found = fit_near(kept)
    error: dict[str, list[float]] = {}
    for la in held:
        error.setdefault(la.op, []).append(abs(off(found, la, la.cycles)))
    for op, every in error.items():
        print(f"{op:10} {len(every):4} held back, mean {np.mean(every):.1%} max {max(every):.1%}")
    record = {
        "fitted_layers": len(kept),
        "held_back_layers": len(held),
        "error": {op: round(max(every), 4) for op, every in error.items()},
        "mean_error": {op: round(float(np.mean(every)), 4) for op, every in error.items()},
        "coefficients": found,
    }
    path = measured("xpulpv2", "cluster_costs")
    path.write_text(json.dumps({"ri5cy": record}, indent=1, sort_keys=True) + "\n")
    rows = [
        {"op": la.op, "name": la.name, "cycles": la.cycles, "features": dict(la.features)}
        for la in held
    ]
    _write_rows(HELD, rows)
    print(f"wrote {path} and {HELD}")


if __name__ == "__main__":
    main()
