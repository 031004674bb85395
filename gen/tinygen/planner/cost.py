# SPDX-License-Identifier: Apache-2.0
"""Instructions of a step, predicted: counts of what its kernels do times fitted coefficients.

`features` names the counts (tiles, elements, calls) that follow from shape and schedule alone;
costs/<target>.json holds what each costs on a core, fitted by benchmarks/fit_costs.py to exact
counts from QEMU. Kernels that get faster need a new fit, not new code.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from tinygen.planner import plan as p
from tinygen.planner.schedule import AttentionSchedule

Features = Mapping[str, float]

FOLDER = Path(__file__).parent / "costs"


@dataclass(frozen=True)
class Tile:
    """How a target's products step: rows of a group (largest first), columns, depth."""

    rows: tuple[int, ...]
    columns: int
    depth: int
    three_as_four: bool = False


TILES = {"armv7em": Tile((4, 2, 1), 2, 4), "portable": Tile((2, 1), 2, 1)}

COMPACT = Tile((4, 1), 2, 4, three_as_four=True)
"""Of attention with 8-bit operands, where the usual ones have 16."""

STREAM_TILES = {"armv7em": COMPACT, "portable": TILES["portable"]}
"""Of the output projection that accumulates."""


@dataclass(frozen=True)
class CostModel:
    """coefficients: instructions a feature.  error: largest relative error on held-back layers, by
    operator.  cpi: cycles an instruction, an assumption unless the data file says otherwise."""

    target: str
    cpu: str
    coefficients: Mapping[str, float]
    error: Mapping[str, float]
    cpi: float

    def instructions(self, step: p.Step) -> int:
        return self.evaluate(features(step, self.target))

    def attention(self, shape: AttentionShape, how: AttentionSchedule) -> int:
        return self.evaluate(attention_features(shape, how, self.target))

    def evaluate(self, counts: Features) -> int:
        return round(sum(self.coefficients.get(name, 0.0) * n for name, n in counts.items()))


@cache
def load_cost_model(target: str, cpu: str) -> CostModel | None:
    """The fit of that core, else of another Cortex with the same target, else None."""
    path = FOLDER / f"{target}.json"
    if not path.exists() or not cpu.startswith("cortex"):
        return None
    fits = json.loads(path.read_text())
    fit = fits.get(cpu) or fits[min(fits)]
    return CostModel(target, cpu, fit["coefficients"], fit["error"], fit["cpi"])


def predicted(step: p.Step, model: CostModel | None) -> p.Step:
    """The step with its prediction."""
    if model is None:
        return step
    count = model.instructions(step)
    return replace(step, instructions=count, cycles=round(count * model.cpi))


def features(step: p.Step, target: str) -> Features:
    """What the kernels of a step do, counted."""
    tile = TILES[target]
    match step.args:
        case p.LinearStep() as a:
            return _linear("linear", tile, a.rows, a.linear)
        case p.ConvStep() as a:
            return _conv(a, tile)
        case p.AttentionStep() as a:
            shape = AttentionShape(a.tokens, a.q.k, a.dim, a.heads, a.o.n)
            return attention_features(shape, a.schedule, target)
        case p.NormStep() as a:
            return {"norm": a.rows * len(a.gamma), "norm.row": a.rows, "norm.call": 1}
        case p.AddStep() as a:
            return {"add": a.count // 4, "add.tail": a.count % 4, "add.call": 1}
        case p.LutStep() as a:
            return {"lut": a.count // 4, "lut.tail": a.count % 4, "lut.call": 1}
        case p.MeanStep() as a:
            return {"mean": a.rows * a.features, "mean.column": a.features, "mean.call": 1}
        case p.MaxStep() as a:  # the mean's loops; its columns end with a product more
            columns = math.prod(a.out) * a.channels
            return {"mean": math.prod(a.kernel) * columns, "mean.column": columns, "mean.call": 1}
        case p.CopyStep() as a:
            return {"copy": a.rows.size + a.copy_bytes, "copy.call": 1}


def groups(rows: int, tile: Tile) -> dict[int, int]:
    """Size of a row group -> how many of them the kernels take."""
    counts = {}
    for size in tile.rows:
        counts[size], rows = divmod(rows, size)
        if rows == 3 and size == 4 and tile.three_as_four:
            counts[size], rows = counts[size] + 1, 0
    return counts


def product(name: str, tile: Tile, rows: int, n: int, k: int, heads: int = 1) -> Counter[str]:
    """One call of a product rows x k by k x n for each head; rows are expanded once for all."""
    counts: Counter[str] = Counter()
    columns, depth = heads * math.ceil(n / tile.columns), math.ceil(k / tile.depth)
    loop = "c.product" if tile is COMPACT else "product"  # what all products on this tile share
    for size, count in groups(rows, tile).items():
        counts[f"{loop}.tile{size}"] += count * columns * depth
        counts[f"{name}.column{size}"] += count * columns
        counts[f"{loop}.depth{size}"] += count * depth
        counts[f"{loop}.group{size}"] += count
        counts[f"{loop}.tail{size}"] += count * (k % tile.depth > 0)
        counts[f"{loop}.lone{size}"] += count * heads * (n % tile.columns)
        counts[f"{loop}.lone.tile{size}"] += count * heads * (n % tile.columns) * depth
    counts[f"{name}.call"] += 1
    return counts


def _times(counts: Counter[str], factor: int) -> Counter[str]:
    return Counter({name: n * factor for name, n in counts.items()})


def _linear(name: str, tile: Tile, rows: int, a: p.LinearArgs) -> Counter[str]:
    counts = product(name, tile, rows, a.n, a.k)
    if a.table is not None:
        counts["table"] += rows * a.n
    return counts


def _conv(a: p.ConvStep, tile: Tile) -> Counter[str]:
    """Windows gathered by fours, each block a product; see kernels/src/portable/conv.c."""
    tokens, n = a.out[0] * a.out[1], a.linear.n // a.groups
    taps = a.linear.k
    blocks, rest = divmod(tokens, 4)
    counts = _times(product("linear", tile, 4, n, taps), blocks * a.groups)
    if rest:
        counts += _times(product("linear", tile, rest, n, taps), a.groups)
    counts["conv.tap"] += tokens * a.groups * taps
    counts["conv.row"] += tokens * a.groups * (taps // a.kernel[1])
    counts["conv.window"] += tokens * a.groups
    counts["conv.block"] += (blocks + (rest > 0)) * a.groups
    if a.linear.table is not None:
        counts["table"] += tokens * a.linear.n
    return counts


@dataclass(frozen=True)
class AttentionShape:
    tokens: int
    e: int
    dim: int
    heads: int
    n: int


def attention_features(shape: AttentionShape, how: AttentionSchedule, target: str) -> Counter[str]:
    """As the emitter arranges the calls of each schedule."""
    tile = TILES[target]
    inner, mark = (COMPACT, "c.") if how.compact else (tile, "")
    heads, n, dim = shape.heads, shape.n, shape.dim
    streaming = how.kind == "head-streaming"
    per_call = 1 if streaming else heads
    rounds = heads if streaming else 1
    counts = _times(product(f"{mark}kv", inner, shape.tokens, dim, shape.e, per_call), 2 * rounds)
    blocks, rest = divmod(shape.tokens, how.row_block)
    for rows, times in ((how.row_block, blocks), (rest, 1)):
        if not rows or not times:
            continue
        passes = times * rounds
        counts += _times(product(f"{mark}q", inner, rows, dim, shape.e, per_call), passes)
        counts += _times(_attend(mark, inner, rows, shape.tokens, dim), times * heads)
        if how.accumulate:
            counts += _times(product("sum", STREAM_TILES[target], rows, n, dim), passes)
        elif not streaming:
            counts += _times(product("linear", tile, rows, n, heads * dim), passes)
        counts["loop"] += passes
    if how.accumulate:
        counts["requantise"] += shape.tokens * n
        counts["requantise.row"] += shape.tokens
    elif streaming:
        counts += product("linear", tile, shape.tokens, n, heads * dim)
    return counts


def _attend(mark: str, tile: Tile, rows: int, tokens: int, dim: int) -> Counter[str]:
    """One head: scores, softmax, context."""
    counts: Counter[str] = Counter()
    key_columns, key_depth = math.ceil(tokens / tile.columns), math.ceil(dim / tile.depth)
    value_columns, value_depth = math.ceil(dim / tile.columns), math.ceil(tokens / tile.depth)
    for size, count in groups(rows, tile).items():
        counts[f"{mark}attend.tile{size}"] += count * key_columns * key_depth
        counts[f"{mark}score.column{size}"] += count * key_columns
        counts[f"{mark}attend.tile{size}"] += count * value_columns * value_depth
        counts[f"{mark}context.column{size}"] += count * value_columns
        counts[f"{mark}attend.group{size}"] += count
    counts[f"{mark}softmax"] += rows * tokens
    counts[f"{mark}query"] += rows * dim
    counts[f"{mark}attend.row"] += rows
    counts[f"{mark}attend.call"] += 1
    return counts
