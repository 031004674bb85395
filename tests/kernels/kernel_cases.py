# SPDX-License-Identifier: Apache-2.0
"""Cases for the driver: what it reads, and what `tinygen.reference` says it must write."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.numeric import Requant, RowScale
from tinygen.operators import (
    Add,
    Attention,
    Conv,
    DotProductAttention,
    Embed,
    LayerNorm,
    Linear,
    Lut,
    MaxPool,
    MeanPool,
    WeightSteps,
)
from tinygen.operators.attention import reference as att
from tinygen.operators.attention.layer import pack_project
from tinygen.targets import PackedLinear, Target

Rng = np.random.Generator
POISON = 0x5A
LINEAR, CONV, ATTENTION, LAYERNORM, ADD, LUT, MEAN, MAX, LAYERNORM_WHOLE, ADD_WIDE, EMBED = range(
    11
)
LAYERNORM_STEPS, DOT_PRODUCT_ATTENTION = 11, 12


@dataclass
class Case:
    """One kernel call: its stream, the sizes that C must report, the buffers that it must leave."""

    note: str
    stream: bytes
    sizes: list[int]
    buffers: list[NDArray[np.int8]]


@dataclass
class Stream:
    words: list[bytes] = field(default_factory=list)

    def put(self, *values: int) -> Stream:
        for v in values:
            self.words.append((int(v) & 0xFFFFFFFF).to_bytes(4, "little"))
        return self

    def blob(self, data: NDArray[Any] | None) -> Stream:
        raw = b"" if data is None else np.ascontiguousarray(data).tobytes()
        self.put(len(raw))
        self.words.append(raw + bytes(-len(raw) % 4))
        return self

    def linear(self, w: PackedLinear, n: int, k: int, r: Requant, table: Any = None) -> Stream:
        self.put(k, n, r.s, r.zp, w.form)
        return self.blob(w.w).blob(w.bias).blob(w.m).blob(table)

    def bytes(self) -> bytes:
        return b"".join(self.words)


# -- values --------------------------------------------------------------------------------------


def int8s(rng: Rng, *shape: int) -> NDArray[np.int8]:
    """Mostly uniform; often the extremes that overflow a careless accumulator."""
    kind = rng.integers(6)
    if kind == 0:
        return np.full(shape, -128, np.int8)
    if kind == 1:
        return np.full(shape, 127, np.int8)
    if kind == 2:
        return rng.choice(np.array([-128, 127], np.int8), shape)
    return rng.integers(-128, 128, shape, np.int8)


def weights(rng: Rng, n: int, *shape: int) -> NDArray[np.int8]:
    """Mostly without -128, as quantisers make them; a few of them, or anything, otherwise."""
    kind = rng.integers(4)
    if kind == 0:
        return int8s(rng, n, *shape)
    w = np.maximum(int8s(rng, n, *shape), -127)
    if kind == 1:
        inputs = w.reshape(n, -1)
        inputs[:, 3:][rng.random(inputs[:, 3:].shape) < 0.05] = -128
    return w


def biases(rng: Rng, n: int, largest_sum: int) -> NDArray[np.int32]:
    """Within what keeps the accumulator in int32."""
    room = 2**31 - 1 - largest_sum
    limit = [0, 1 << 12, 1 << 18, room][rng.integers(4)]
    return rng.integers(-limit, limit + 1, n).astype(np.int32)


def requant(rng: Rng, n: int, spread: float, s: int | None = None) -> Requant:
    """A ratio that uses the whole of int8, or anything the contract allows (also above 0.5)."""
    zp = int(rng.choice([0, -128, 127, rng.integers(-128, 128)]))
    channels = n if rng.integers(2) else 1
    if rng.integers(3):
        ratio = rng.uniform(0.3, 3.0, channels) * 90 / max(spread, 1.0)
        most = min(32, 30 - math.ceil(math.log2(ratio.max())))
        s = s or (int(rng.integers(max(1, most - 12), most + 1)) if most > 1 else 1)
        m = np.minimum(np.rint(ratio * 2.0**s), 2**31 - 1)
    else:
        s = s or int(rng.integers(1, 33))
        m = np.floor(2.0 ** rng.uniform(0, 31, channels)) - rng.integers(0, 2, channels)
    return Requant(np.clip(m, 0, 2**31 - 1).astype(np.int32), s, zp)


def spread_of(k: int) -> float:
    return math.sqrt(k) * 74 * 74


def table_or_none(rng: Rng) -> NDArray[np.int8] | None:
    return rng.integers(-128, 128, 256, np.int8) if rng.integers(2) else None


def strided(rng: Rng, rows: NDArray[np.int8], stride: int) -> NDArray[np.int8]:
    """The bytes of rows that are `stride` apart, without anything after the last."""
    flat = rng.integers(-128, 128, (len(rows), stride), np.int8)
    flat[:, : rows.shape[1]] = rows
    return flat.reshape(-1)[: (len(rows) - 1) * stride + rows.shape[1]]


def poisoned(rows: NDArray[np.int8], stride: int) -> NDArray[np.int8]:
    flat = np.full((len(rows), stride), POISON, np.int8)
    flat[:, : rows.shape[1]] = rows
    return flat.reshape(-1)[: (len(rows) - 1) * stride + rows.shape[1]]


def wider(rng: Rng, row: int) -> int:
    return row + int(rng.choice([0, 0, 1, 5]))


# -- operators -----------------------------------------------------------------------------------


def linear_op(rng: Rng, k: int, n: int, s: int | None = None) -> Linear:
    return Linear(
        weights(rng, n, k),
        biases(rng, n, k << 14),
        requant(rng, n, spread_of(k), s),
        table_or_none(rng),
    )


def linear_case(target: Target, rng: Rng, rows: int, k: int, n: int, s: int | None = None) -> Case:
    return linear_case_of(target, rng, linear_op(rng, k, n, s), int8s(rng, rows, k))


def ties_case(target: Target, rng: Rng, rows: int, k: int, n: int, s: int) -> Case:
    """Every second result lies half way between two integers: m is half of 2^s, sums are small."""
    w = rng.integers(-1, 2, (n, k)).astype(np.int8)
    half = Requant(np.full(n if rng.integers(2) else 1, 1 << (s - 1), np.int32), s, 3)
    op = Linear(w, rng.integers(-40, 41, n).astype(np.int32), half, None)
    return linear_case_of(target, rng, op, rng.integers(-20, 21, (rows, k)).astype(np.int8))


def linear_case_of(target: Target, rng: Rng, op: Linear, x: NDArray[np.int8]) -> Case:
    (n, k), rows = op.weight.shape, len(x)
    xs, ys = wider(rng, k), wider(rng, n)
    stream = Stream().put(LINEAR, rows, xs, ys, *rng.integers(0, 4, 2))
    packed = target.pack_linear(op.weight, op.bias, op.requant)
    stream.linear(packed, n, k, op.requant, op.table).blob(strided(rng, x, xs))
    return Case(
        f"linear rows={rows} k={k} n={n} s={op.requant.s} m={op.requant.m[:4]} zp={op.requant.zp}",
        stream.bytes(),
        [packed.w.nbytes, target.linear_scratch(n, k, rows)],
        [poisoned(op.reference([x]), ys)],
    )


def conv_case(
    target: Target,
    rng: Rng,
    plane: tuple[int, int],
    per_group: tuple[int, int],
    groups: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    pads: tuple[int, int, int, int],
) -> Case:
    """per_group: channels and outputs of a group."""
    c, n = per_group[0] * groups, per_group[1] * groups
    k = per_group[0] * kernel[0] * kernel[1]
    last = bool(rng.integers(2))
    op = Conv(
        weights(rng, n, per_group[0], *kernel),
        biases(rng, n, k << 14),
        requant(rng, n, spread_of(k)),
        stride,
        pads,
        dilation,
        groups,
        int(rng.integers(-128, 128)),
        last,
        table_or_none(rng),
    )
    x = int8s(rng, *((*plane, c) if last else (c, *plane)))
    oh, ow = op.plane(*plane)
    strides = (1, plane[1] * c, c) if last else (plane[0] * plane[1], plane[1], 1)
    ys = wider(rng, n)
    stream = Stream().put(CONV, c, *plane, *kernel, *stride, *dilation, pads[0], pads[1], oh, ow)
    stream.put(groups, op.x_zp, *strides, ys, *rng.integers(0, 4, 2))
    packed = target.pack_conv(op.weight.reshape(n, -1), op.groups, op.bias, op.requant)
    stream.linear(packed, n, k, op.requant, op.table).blob(x)
    return Case(
        f"conv x={x.shape} w={op.weight.shape} groups={groups} {stride} {dilation} {pads} {last}",
        stream.bytes(),
        [target.conv_scratch(n // op.groups, k)],
        [poisoned(op.reference([x]), ys)],
    )


def exponents(rng: Rng, bits: int) -> NDArray[np.uint16]:
    decay = 2.0 ** rng.uniform(-9, 1)
    full = (1 << bits) - 1
    table = np.rint(full * np.exp(-decay * np.arange(256)))
    return np.full(256, full, np.uint16) if rng.integers(8) == 0 else table.astype(np.uint16)


def row_scale(rng: Rng, bits: int) -> RowScale:
    frac = int(rng.integers(18 - bits if bits < 12 else 6, 20))
    s = int(rng.integers(33, min(40, 47 - (32 - bits) + frac) + 1))
    reach = int(rng.choice([1, 128, 600, 1 << (61 - s)])) << (s - 32)
    return RowScale(
        int(rng.integers(1 << 14, 1 << 15)), frac, s, int(rng.integers(1 - reach, reach))
    )


def attention_op(
    rng: Rng, s: int, e: int, p: int, h: int, n: int, form: str = "unfused"
) -> Attention:
    keys, values = (form in (what, "fused") for what in ("fused-scores", "fused-values"))

    def projection(rows: int, k: int, missing: bool = False) -> tuple[Any, ...]:
        if missing:
            one = Requant(np.ones(1, np.int32), 1, int(rng.integers(-128, 128)))
            return np.zeros((0, k), np.int8), np.zeros(0, np.int32), one
        return (
            weights(rng, rows, k),
            biases(rng, rows, k << 14),
            requant(rng, rows, spread_of(k)),
        )

    most_bits = min(15, 31 - 7 - math.ceil(math.log2(s))) if s > 512 else 15
    bits = int(rng.choice([8, most_bits, most_bits]))
    score = requant(rng, 1, spread_of(e if keys else p))
    dim, value_dim = (e if fused else p for fused in (keys, values))
    levels = 0 if values or rng.integers(3) else int(rng.choice([15, 127, 255]))
    return Attention(
        h,
        dim,
        *projection(h * dim, e),
        *projection(h * dim, e, keys),
        *projection(h * p, e, values),
        score,
        exponents(rng, bits),
        bits,
        row_scale(rng, bits),
        *projection(n, h * value_dim),
        levels,
    )


def attention_case(
    target: Target,
    rng: Rng,
    shape: tuple[int, int, int, int],
    n: int,
    row_block: int,
    head_block: int,
    form: str = "unfused",
    op: Attention | None = None,
) -> Case:
    s, e, p, h = shape
    op = op or attention_op(rng, s, e, p, h, n, form)
    inner = op.wo.shape[1]
    x = int8s(rng, s, e)
    row_block, head_block = min(row_block, s), min(head_block, h)
    xs, cs = wider(rng, e), wider(rng, inner)
    context = att.contexts(x, op)
    stream = Stream().put(ATTENTION, s, xs, row_block, head_block, cs, *rng.integers(0, 4, 2))
    stream.put(h, op.dim, op.value_dim)
    stream.put(int(op.score.m[0]), op.score.s, op.score.zp)
    c = op.context
    stream.put(c.mult, c.frac, c.s, c.offset, op.levels, op.levels_up).blob(
        target.pack_exp(op.exp_table)
    )
    for which, w, r in (("q", op.wq, op.rq), ("k", op.wk, op.rk), ("v", op.wv, op.rv)):
        stream.linear(pack_project(target, op, which), len(w), e, r)
    stream.linear(target.pack_linear(op.wo, op.bo, op.ro), n, inner, op.ro)
    stream.linear(target.pack_output(op.wo, op.heads, op.bo, op.ro), n, inner, op.ro)
    y = op.reference([x]).reshape(-1)
    stream.blob(strided(rng, x, xs))
    return Case(
        f"attention {shape} {op.fusion} n={n} blocks={row_block, head_block} bits={op.weight_bits} "
        f"levels={op.levels}",
        stream.bytes(),
        [
            target.q_bytes(op.dim, h, row_block),
            target.k_bytes(op.dim, h, s),
            target.v_bytes(op.value_dim, h, s),
            target.project_scratch(op.dim, op.wq.shape[1], s),
            target.attend_scratch(op.dim, row_block, s),
            target.linear_scratch(n, inner, s),
            target.accumulate_scratch(len(op.wo), op.value_dim, s),
        ],
        [poisoned(context, cs), y, y],
    )


def dot_product_op(rng: Rng, rows: int, keys: int, p: int, h: int) -> DotProductAttention:
    most_bits = min(15, 31 - 8 - math.ceil(math.log2(keys))) if keys > 1 else 15
    bits, mask, steps = int(rng.choice([8, most_bits])), None, None
    kind = rng.integers(4)
    if kind:
        mask = (rng.random((1 if kind == 1 else rows, keys)) < rng.random()).astype(np.uint8)
        mask[np.arange(len(mask)), rng.integers(0, keys, len(mask))] = rng.integers(1, 256)
    if rng.integers(2):
        up = int(rng.integers(0, bits))
        total = int(rng.integers(1 << (bits - 1), 1 << bits))
        steps = WeightSteps(total, up, min(int(rng.integers(1, 256)), 32767 >> up))
    zeros = (int(z) for z in rng.integers(-128, 128, 3))
    score = requant(rng, 1, spread_of(p))
    return DotProductAttention(
        h, *zeros, score, exponents(rng, bits), bits, row_scale(rng, bits), mask, steps
    )


def dot_product_case(target: Target, rng: Rng, rows: int, keys: int, p: int, h: int) -> Case:
    """The rows come in two calls, as two cores would share them."""
    op = dot_product_op(rng, rows, keys, p, h)
    q, k, v = (int8s(rng, n, h * p) for n in (rows, keys, keys))
    c, to = op.context, op.steps or WeightSteps(0, 0, 0)
    stream = Stream().put(DOT_PRODUCT_ATTENTION, rows, keys, *rng.integers(0, 4, 4))
    stream.put(h, p, op.q_zp, op.k_zp, op.v_zp, int(op.score.m[0]), op.score.s, op.score.zp)
    stream.put(c.mult, c.frac, c.s, c.offset, to.total, to.up, to.most).blob(op.exp_table)
    bits = None if op.mask is None else np.packbits(op.mask != 0, axis=1, bitorder="little")
    stream.put(0 if bits is None or (len(bits) == 1 and rows > 1) else bits.shape[1])
    stream.blob(bits).blob(q).blob(k).blob(v)
    seen = None if bits is None else len(bits)
    note = f"dot product {rows} of {keys} x {h} x {p} bits={op.weight_bits} mask={seen} {op.steps}"
    y = op.reference([q, k, v]).reshape(-1)
    return Case(note, stream.bytes(), [target.dot_product_scratch(p, keys)], [y])


def layernorm_op(rng: Rng, e: int, whole: bool = False, steps: bool = False) -> LayerNorm:
    frac = 15 - math.ceil(math.log2((3 if whole else 4 if steps else 1) * e) / 2)
    # steps of which a row's variance takes none, a few, or more than there are
    step = max(1, int(e * e * 2.0 ** rng.uniform(0, 22))) if steps else 0
    s = int(rng.integers(1, 31))
    limit = [1 << 30, 128 << s][rng.integers(2)]
    return LayerNorm(
        rng.integers(-32767, 32768, e).astype(np.int32),
        np.clip(rng.integers(-limit, limit + 1, e), -(1 << 30), 1 << 30).astype(np.int32),
        int(rng.choice([1, 1, 7, 65535] if whole else [1, 7, e * e, 1 << 33])),
        frac,
        s,
        whole,
        int(rng.choice([0, -128, rng.integers(-128, 128)])) if whole else 0,
        step,
        int(rng.choice([127, 255, rng.integers(1, 256)])) if steps else 0,
    )


def layernorm_case(
    target: Target, rng: Rng, rows: int, e: int, whole: bool = False, steps: bool = False
) -> Case:
    op, x = layernorm_op(rng, e, whole, steps), int8s(rng, rows, e)
    if rng.integers(3) == 0:
        x[0] = x[0, 0]  # a constant row must not divide by zero
    in_place = int(rng.integers(3) == 0)
    xs = wider(rng, e)
    ys = xs if in_place else wider(rng, e)
    before = strided(rng, x, xs)
    y = op.reference([x])
    if in_place:
        want = before.copy()
        for i in range(rows):
            want[i * ys : i * ys + e] = y[i]
    else:
        want = poisoned(y, ys)
    kernel = LAYERNORM_STEPS if steps else LAYERNORM_WHOLE if whole else LAYERNORM
    stream = Stream().put(kernel, rows, xs, ys, *rng.integers(0, 4, 2), in_place, e)
    stream.put(op.frac, op.s, op.eps_term, op.eps_term >> 32, op.x_zp)
    stream.put(op.step, op.step >> 32, op.most)
    stream.blob(op.gamma.astype(np.int16)).blob(op.beta).blob(before)
    note = f"layernorm {rows} x {e} whole={whole} s={op.s} eps={op.eps_term} zp={op.x_zp} "
    note += f"step={op.step} most={op.most}"
    return Case(note, stream.bytes(), [], [want])


def layernorm_whole_case(target: Target, rng: Rng, rows: int, e: int) -> Case:
    return layernorm_case(target, rng, rows, e, whole=True)


def layernorm_steps_case(target: Target, rng: Rng, rows: int, e: int) -> Case:
    return layernorm_case(target, rng, rows, e, steps=True)


def add_case(target: Target, rng: Rng, count: int) -> Case:
    s = int(rng.integers(1, 23))
    c = int(rng.integers(-(1 << 30), 1 << 30)) if rng.integers(2) else 1 << (s - 1)
    op = Add(*(int(v) for v in rng.integers(0, 1 << 21, 2)), c, s)
    a, b = int8s(rng, count), int8s(rng, count)
    stream = Stream().put(ADD, count, int(rng.integers(3)), *rng.integers(0, 4, 3))
    stream.put(op.ma, op.mb, op.c, op.s).blob(a).blob(b)
    return Case(f"add {count} {op}", stream.bytes(), [], [op.reference([a, b])])


def add_wide_case(target: Target, rng: Rng, count: int) -> Case:
    s = int(rng.integers(1, 23))
    c = int(rng.integers(-(1 << 30), 1 << 30)) if rng.integers(2) else 1 << (s - 1)
    other = rng.integers(-(1 << 15), 1 << 15, count, np.int16)
    if rng.integers(4) == 0:
        other = rng.choice(np.array([-(1 << 15), (1 << 15) - 1], np.int16), count)
    ma, mb = int(rng.integers(0, 1 << 21)), int(rng.integers(0, 1 << 14))
    op, a = Add(ma, mb, c, s, other), int8s(rng, count)
    stream = Stream().put(ADD_WIDE, count, int(rng.integers(2)), *rng.integers(0, 4, 2))
    stream.put(op.ma, op.mb, op.c, op.s).blob(a).blob(other)
    note = f"add {count} of a wide constant {ma, mb, c, s}"
    return Case(note, stream.bytes(), [], [op.reference([a])])


def lut_case(target: Target, rng: Rng, count: int) -> Case:
    table, x = rng.integers(-128, 128, 256, np.int8), int8s(rng, count)
    stream = Stream().put(LUT, count, int(rng.integers(2)), *rng.integers(0, 4, 2))
    stream.blob(table).blob(x)
    return Case(f"lut {count}", stream.bytes(), [], [Lut(table).reference([x])])


def mean_case(target: Target, rng: Rng, rows: int, features: int) -> Case:
    op = MeanPool(int(rng.integers(-128, 129)) * rows, requant(rng, 1, 74.0 * math.sqrt(rows)))
    x, xs = int8s(rng, rows, features), wider(rng, features)
    stream = Stream().put(MEAN, rows, features, xs, *rng.integers(0, 4, 2))
    stream.put(op.bias, int(op.requant.m[0]), op.requant.s, op.requant.zp)
    stream.blob(strided(rng, x, xs))
    return Case(f"mean {rows} x {features}", stream.bytes(), [], [op.reference([x]).reshape(-1)])


def max_case(
    target: Target,
    rng: Rng,
    plane: tuple[int, int],
    channels: int,
    kernel: tuple[int, int],
    stride: tuple[int, int] = (1, 1),
) -> Case:
    """Pads are drawn; the plane grows to hold a window."""
    pads = tuple(int(rng.integers(0, kernel[i % 2])) for i in range(4))
    h, w = (max(plane[i], kernel[i] - pads[i] - pads[i + 2], 1) for i in (0, 1))
    op = MaxPool(kernel, stride, pads)
    x, out = int8s(rng, h, w, channels), op.plane(h, w)
    stream = Stream().put(MAX, h, w, channels, *kernel, *stride, *pads[:2], out[1])
    stream.put(math.prod(out), *rng.integers(0, 4, 2)).blob(x)
    note = f"max {h} x {w} x {channels} {op}"
    return Case(note, stream.bytes(), [], [op.reference([x]).reshape(-1)])


def embed_case(target: Target, rng: Rng, rows: int, width: int, count: int) -> Case:
    """Ids beyond the table come too."""
    op, x = Embed(int8s(rng, count, width)), int8s(rng, rows)
    stream = Stream().put(EMBED, count, width, rows, *rng.integers(0, 4, 3))
    stream.blob(op.table).blob(x)
    note = f"embed {rows} of {count} x {width}"
    return Case(note, stream.bytes(), [], [op.reference([x]).reshape(-1)])


Draw = Callable[[Target, Rng], Case]
