# SPDX-License-Identifier: Apache-2.0
"""Random general operators: any shape, any zero point, the parameters anywhere in their ranges."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinygen import operators as g
from tinygen.graph import Quant
from tinygen.numeric import Requant, RowScale
from tinygen.operators import General
from tinygen.operators.div import reciprocals
from tinygen.operators.view import Strided
from tinygen.passes import multipliers

I8 = NDArray[np.int8]
EXTREMES = (-128, -127, -1, 0, 1, 127)


class Rng(np.random.Generator):
    """grow: how many times larger than usual the sizes may be."""

    def __init__(self, seed: int, grow: int = 1) -> None:
        super().__init__(np.random.PCG64(seed))
        self.grow = grow


@dataclass(frozen=True)
class Case:
    op: General
    inputs: tuple[I8, ...]
    note: str

    def __post_init__(self) -> None:
        fault = self.op.fault([x.shape for x in self.inputs])
        assert fault is None, f"{self.note}: {fault}"


def values(rng: Rng, *shape: int) -> I8:
    """Any values, or only the extremes."""
    if rng.random() < 0.25:
        return rng.choice(np.array(EXTREMES, np.int8), shape)
    return rng.integers(-128, 128, shape, np.int8)


def size(rng: Rng, most: int) -> int:
    """Small sizes come more often; all up to `most` come."""
    return int(rng.integers(1, rng.integers(2, rng.grow * most + 2)))


def zero(rng: Rng) -> int:
    return int(rng.choice([-128, 0, 127, rng.integers(-128, 128)]))


def requant(rng: Rng, most: int) -> Requant:
    """For accumulators up to `most`: results use the range, or saturate."""
    ratio = 128 / most * 2.0 ** rng.uniform(-1, 6)
    s = 15 - math.frexp(ratio)[1]
    while s > 47 or s < 1:
        ratio = ratio * 2 if s > 47 else ratio / 2
        s = 15 - math.frexp(ratio)[1]
    m = min((1 << 15) - 1, max(1, round(ratio * 2.0**s)))
    return Requant(np.array([m], np.int32), s, zero(rng))


def view(rng: Rng, dims: tuple[int, ...]) -> tuple[Strided, I8]:
    """A tensor read through these loops: in order, transposed, with gaps, backwards or repeated;
    and the tensor."""
    order = rng.permutation(len(dims)) if rng.random() < 0.5 else range(len(dims))
    strides, step = [0] * len(dims), 1
    offset = int(rng.integers(0, 4)) if rng.random() < 0.3 else 0
    for axis in reversed(list(order)):
        if rng.random() < 0.15:
            continue  # repeated
        stride = step * int(rng.choice([1, 1, 1, 2]))
        if rng.random() < 0.1:
            offset += (dims[axis] - 1) * stride
            stride = -stride
        strides[axis] = stride
        step = abs(stride) * dims[axis]
    found = Strided(dims, tuple(strides), offset)
    return found, values(rng, found.last + 1 + int(rng.integers(0, 3)))


def axes(rng: Rng, most: int = 5) -> tuple[int, int, int, int]:
    a, b, c, d = (size(rng, most) for _ in range(4))
    return -(-a // rng.grow), -(-b // rng.grow), c, size(rng, 9) if d > 1 else 1


def pairs(rng: Rng) -> tuple[tuple[int, ...], Strided, Strided, tuple[I8, I8]]:
    dims = axes(rng)
    (a, x), (b, y) = view(rng, dims), view(rng, dims)
    return dims, a, b, (x, y)


def matmul(rng: Rng) -> Case:
    outer, inner = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    m, k, n = (size(rng, most) for most in (6, 40 // rng.grow + 1, 7))
    (a, x), (b, y) = view(rng, (outer, inner, m, k)), view(rng, (outer, inner, k, n))
    op = g.BatchMatMul((outer * inner, m, n), a, b, zero(rng), zero(rng), requant(rng, 40_000 * k))
    return Case(op, (x, y), f"matmul {a} {b}")


def mul(rng: Rng) -> Case:
    out, a, b, inputs = pairs(rng)
    op = g.Mul(out, a, b, zero(rng), zero(rng), requant(rng, 65_025))
    return Case(op, inputs, f"mul {a} {b}")


def sum_(rng: Rng) -> Case:
    out, a, b, inputs = pairs(rng)
    s = int(rng.integers(1, 23))
    top = min((1 << 21) - 1, max(2, 1 << s))
    ma, mb = (int(rng.choice([-top, 0, top, rng.integers(-top, top + 1)])) for _ in "ab")
    c = int(rng.integers(-128, 128)) * (1 << min(s, 20)) + (1 << (s - 1))
    return Case(g.Sum(out, a, b, ma, mb, c, s), inputs, f"sum {ma} {mb} {c} {s}")


def div(rng: Rng) -> Case:
    out, a, b, inputs = pairs(rng)
    zp = zero(rng)
    table, s = reciprocals(*(float(2.0 ** rng.uniform(-8, 2)) for _ in "ab"), zp, 0.02)
    return Case(g.Div(out, a, b, zero(rng), table, s, zero(rng)), inputs, f"div {zp} {s}")


def extreme(rng: Rng) -> Case:
    out, a, b, inputs = pairs(rng)
    tables = (np.sort(values(rng, 256)) for _ in "ab")
    op = g.Extreme(out, a, b, *tables, least=bool(rng.integers(2)))
    return Case(op, inputs, f"extreme {a} {b}")


def row_scale(rng: Rng, table: NDArray[np.uint16]) -> RowScale:
    """From any grid of values to any grid of results that the table's bits allow."""
    bits = int(table[0]).bit_length()
    ratio = 2.0 ** rng.uniform(-9, min(8, bits - 6))
    return multipliers.row_scale(Quant(ratio, zero(rng)), Quant(1.0, zero(rng)), bits)


def exp_table(rng: Rng, tokens: int) -> NDArray[np.uint16]:
    top = min(65_535, ((1 << 31) - 1) // (255 * tokens))
    table: NDArray[np.uint16] = np.rint(
        top * np.exp(-np.arange(256) * 2.0 ** rng.uniform(-8, 1))
    ).astype(np.uint16)
    return table


def mask(rng: Rng, rows: int, tokens: int) -> NDArray[np.uint8] | None:
    if rng.random() < 0.4:
        return None
    found = (rng.random((rows, tokens)) < rng.random()).astype(np.uint8)
    found[np.arange(rows), rng.integers(0, tokens, rows)] = 1  # every row sees one
    return found


def softmax(rng: Rng) -> Case:
    outer, length, inner = size(rng, 5), size(rng, 40), size(rng, 4)
    seen = mask(rng, size(rng, outer), length) if inner == 1 else None
    table = exp_table(rng, length)
    scale = row_scale(rng, table)
    op = g.Softmax((outer, length, inner), outer, length, inner, table, scale, seen)
    return Case(op, (values(rng, outer, length, inner),), f"softmax {outer}x{length}x{inner}")


def weighted(rng: Rng) -> Case:
    outer, inner = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    rows, tokens, cols = (size(rng, most) for most in (5, 20, 7))
    v, y = view(rng, (outer, inner, tokens, cols))
    group = int(rng.choice([1, 1, rows]))
    table = exp_table(rng, group * tokens)
    seen = mask(rng, size(rng, rows), tokens) if group == 1 else None
    op = g.Weighted(
        (outer * inner, rows, cols),
        v,
        zero(rng),
        table,
        row_scale(rng, table),
        seen,
        group,
    )
    return Case(op, (values(rng, outer * inner, rows, tokens), y), f"weighted {v} {group}")


def rms_norm(rng: Rng) -> Case:
    rows, features = size(rng, 5), int(rng.choice([1, size(rng, 70), size(rng, 70)]))
    s = int(rng.integers(8, 20))
    gamma = rng.integers(-(1 << 15) + 1, 1 << 15, features).astype(np.int32)
    beta = np.full(features, (zero(rng) << s) + (1 << (s - 1)), np.int32)
    eps = int(rng.choice([1, rng.integers(1, 1 << 40)]))
    frac = 15 - math.ceil(math.log2(features) / 2)
    op = g.RmsNorm((rows, features), gamma, beta, eps, frac, s, zero(rng))
    return Case(op, (values(rng, rows, features),), f"rms_norm {rows}x{features} eps {eps}")


def reorder(rng: Rng) -> Case:
    dims = axes(rng)
    found, x = view(rng, dims)
    return Case(g.Reorder(dims, found), (x,), f"reorder {found}")


def gather(rng: Rng) -> Case:
    run, runs = size(rng, 9), size(rng, 12)
    x = values(rng, run + size(rng, 40))
    index = rng.integers(-1, x.size - run + 1, runs).astype(np.int32)
    return Case(g.Gather((runs, run), index, run, zero(rng)), (x,), f"gather {runs}x{run}")


def concat(rng: Rng) -> Case:
    outer, runs = size(rng, 5), tuple(size(rng, 9) for _ in range(size(rng, 3)))
    inputs = tuple(values(rng, outer, run) for run in runs)
    return Case(g.Concat((outer, sum(runs)), outer, runs), inputs, f"concat {outer}x{runs}")


MAKERS: dict[type[General], Callable[[Rng], Case]] = {
    g.BatchMatMul: matmul,
    g.Mul: mul,
    g.Sum: sum_,
    g.Div: div,
    g.Extreme: extreme,
    g.Softmax: softmax,
    g.Weighted: weighted,
    g.RmsNorm: rms_norm,
    g.Reorder: reorder,
    g.Gather: gather,
    g.Concat: concat,
}


def many(seed: int, each: int, grow: int = 1) -> list[Case]:
    rng = Rng(seed, grow)
    return [make(rng) for make in MAKERS.values() for _ in range(each)]
