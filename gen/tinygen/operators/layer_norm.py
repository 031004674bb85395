# SPDX-License-Identifier: Apache-2.0
"""Layer normalisation."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygen.lowering import Constant, Cores, Lowered, Names, Share, Site, StepArgs
from tinygen.lowering.cores import align8
from tinygen.numeric import I8, I32, I64, Shape
from tinygen.numeric.requant import clamp8, inverse_sqrt, on_grid
from tinygen.operators.draw import Draw
from tinygen.operators.float_form import Array, Attrs, FloatForm
from tinygen.operators.operator import Case, Operator, need
from tinygen.targets import Counts, Loops


def _real(i: list[Any], attrs: Attrs, shape: Shape) -> Array:
    mean, eps, whole = i[0].mean(axis=-1, keepdims=True), attrs["eps"], attrs.get("whole", False)
    mean = mean if attrs.get("centred", True) else 0.0
    centred = i[0] - (np.trunc(mean) if whole else mean)
    variance = (centred**2).mean(axis=-1, keepdims=True)
    if "scale" in attrs:
        variance = on_grid(variance, attrs["scale"], attrs["zp"])
    deviation = np.floor(np.sqrt(np.floor(variance) + eps)) if whole else np.sqrt(variance + eps)
    y: Array = centred / deviation * i[1] + i[2]
    return y


@dataclass(frozen=True, eq=False)
class LayerNorm(Operator):
    """Normalise each row of x [S, E], in 32-bit steps.

    n = E x - sum(x);  D = E sum(x^2) - sum(x)^2 + eps_term  (>= 1, up to 64 bits)
    d = D * 4^-e in [2^30, 2^32) (floor);  r = min(65535, isqrt(2^62 // d))
    t = (n * r + 2^(k-1)) >> k  with k = 31 + e - frac;  y = clamp((t * gamma + beta) >> s)

    gamma: int32 [E], |gamma| < 2^15.  beta: int32 [E], rounding and zero point included,
    |beta| <= 2^30.  frac = 15 - ceil(log2(E) / 2), so that t fits int16.

    whole: mean and deviation are whole steps, as QuantLib's iLayerNorm takes them; x then stands
    for x - x_zp. mean = sum(x) / E towards zero;  n = x - mean;
    v = isqrt(floor(sum(n^2) / E) + eps_term), of b bits, v >= 1;  r = min(65535, 2^(15+b) // v);
    t as above with k = 15 + b - frac;  frac = 15 - ceil(log2(3 E) / 2).

    step: 0, or the variance is rounded to whole steps, as by a model that keeps it in 8 bits: with
    D before eps_term, ``D = (min(most, (256 D + step / 2) / step) * step >> 8) + eps_term``; t
    saturates to int16, and frac = 15 - ceil(log2(4 E) / 2).
    """

    word = "layernorm"
    label = "norm"
    float_form = FloatForm("Norm", "layer normalisation", _real, doubled=True, added=3)
    overwrites = True

    gamma: I32
    beta: I32
    eps_term: int
    frac: int
    s: int
    whole: bool = False
    x_zp: int = 0
    step: int = 0
    most: int = 0

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        need(inputs[0][-1] == len(self.gamma), f"gamma has {len(self.gamma)} features")
        return inputs[0]

    def fault(self, inputs: Sequence[Shape]) -> str | None:
        ok = (
            np.abs(self.gamma).max() < 1 << 15
            and np.abs(self.beta).max() <= 1 << 30
            and 1 <= self.eps_term < (1 << 16 if self.whole else 1 << 63)
            and 0 <= self.step < 1 << 54
            and (self.step == 0 or 1 <= self.most <= 255)
        )
        return None if ok else "LayerNorm parameters out of range"

    def reference(self, inputs: Sequence[I8]) -> I8:
        x = inputs[0]
        y = np.empty_like(x)
        normal = self._in_whole_steps if self.whole else self._normal
        for i, row in enumerate(x.astype(np.int64)):
            n, r, k = normal(row)
            t = (n * r + (1 << (k - 1))) >> k
            if self.step:
                t = np.clip(t, -(1 << 15), (1 << 15) - 1)
            y[i] = clamp8((t * self.gamma.astype(np.int64) + self.beta) >> self.s)
        return y

    def _normal(self, row: I64) -> tuple[I64, int, int]:
        """n, r, k."""
        features, total = len(row), int(row.sum())
        d = features * int((row * row).sum()) - total * total
        if self.step:
            d = (min(self.most, (256 * d + self.step // 2) // self.step) * self.step) >> 8
        r, e = inverse_sqrt(d + self.eps_term)
        return features * row - total, r, 31 + e - self.frac

    def _in_whole_steps(self, row: I64) -> tuple[I64, int, int]:
        row = row - self.x_zp
        total = int(row.sum())
        mean = abs(total) // len(row) * (-1 if total < 0 else 1)
        n = row - mean
        v = math.isqrt(int((n * n).sum()) // len(row) + self.eps_term)
        bits = v.bit_length()
        return n, min(65535, (1 << (15 + bits)) // v), 15 + bits - self.frac

    @classmethod
    def random(cls, draw: Draw) -> Case:
        rows, e, kind = draw.size(5), draw.size(70), draw.one_of(("", "whole", "steps"))
        whole, steps = kind == "whole", kind == "steps"
        frac = 15 - math.ceil(math.log2((3 if whole else 4 if steps else 1) * e) / 2)
        s = int(draw.integers(1, 31))
        limit = draw.one_of((1 << 30, min(128 << s, 1 << 30)))
        x = draw.values(rows, e)
        if draw.integers(3) == 0:
            x[0] = x[0, 0]  # a constant row must not divide by zero
        op = cls(
            draw.integers(-32767, 32768, e).astype(np.int32),
            draw.bias(e, limit),
            int(draw.choice([1, 7, 65535] if whole else [1, 7, e * e, 1 << 33])),
            frac,
            s,
            whole,
            draw.zero() if whole else 0,
            # a row's variance takes none of them, a few, or more than there are
            max(1, int(e * e * 2.0 ** draw.uniform(0, 22))) if steps else 0,
            int(draw.one_of((127, 255, draw.integers(1, 256)))) if steps else 0,
        )
        return Case(op, (x,))

    def lower(self, site: Site) -> Lowered:
        gamma, beta = (tuple(int(i) for i in a) for a in (self.gamma, self.beta))
        args = NormStep(
            *(gamma, beta, self.eps_term, self.frac, self.s, math.prod(site.inputs[0][:-1])),
            *(self.whole, self.x_zp, self.step, self.most),
        )
        return Lowered(args, 2 * site.size, site.target.sources(args.function))


@dataclass(frozen=True, eq=False)
class NormStep(StepArgs):
    """function: its name between tg_ and _s8."""

    header = "layernorm.h"
    block_bytes = 40

    gamma: tuple[int, ...]
    beta: tuple[int, ...]
    eps: int
    frac: int
    s: int
    rows: int
    whole: bool
    x_zp: int
    step: int = 0
    most: int = 0

    @property
    def function(self) -> str:
        if self.step:
            return "layernorm_steps"
        return "layernorm_whole" if self.whole else "layernorm"

    def constants(self) -> Iterator[Constant]:
        yield "gamma", np.array(self.gamma, np.int16)
        yield "beta", np.array(self.beta, np.int32)

    def blocks(self, c: Names) -> str:
        norm = (
            f"{{.gamma = {c.symbol('gamma')}, .beta = {c.symbol('beta')}, "
            f".eps = {self.eps}, .features = {len(self.gamma)}, .frac = {self.frac}, "
            f".s = {self.s}{f', .x_zp = {self.x_zp}' if self.whole else ''}}}"
        )
        kind = "layernorm"
        if self.step:
            kind = "layernorm_steps"
            norm = f"{{.norm = {norm}, .step = {self.step}, .most = {self.most}}}"
        return f"static const tg_{kind}_t {c.ident} = {norm};\n"

    def call(self, c: Names) -> str:
        e = len(self.gamma)
        return f"tg_{self.function}_s8(&{c.ident}, {c.x}, {self.rows}, {e}, {c.y}, {e});"

    def functions(self) -> Iterator[str]:
        yield f"tg_{self.function}_s8"

    def loops(self, loops: Loops) -> Counts:
        """Of kernels/src/portable/layernorm_whole.c and layernorm_steps.c, or the target's."""
        if not self.whole and not self.step:
            return loops.norm(self.rows, len(self.gamma))
        name = "norm_whole" if self.whole else "norm_steps"
        count = self.rows * len(self.gamma)
        return Counter({name: count, f"{name}.row": self.rows, f"{name}.call": 1})

    def share(self, cores: Cores) -> Share:
        e = len(self.gamma)
        return Share(align8(4 * e) + align8(2 * e), files=(f"cluster/{self.function}.c",))

    def shared_call(self, c: Names) -> str:
        work = c.place(c.work)
        return f"tg_cluster_{self.function}_s8(&{c.ident}, {c.x}, {self.rows}, {c.y}, {work});"

    def busiest(self, cores: int, tiles: int) -> Counts | None:
        rows, width = math.ceil(self.rows / cores), len(self.gamma)
        kind = "whole" if self.whole else "norm" if width <= 128 else "norm.long"
        counts: Counts = Counter({kind: rows * width, f"{kind}.row": rows, f"{kind}.call": 1})
        counts["bytes"] = 6 * width
        if self.step:
            counts.update({"norm_steps": rows * width, "norm_steps.row": rows})
        return counts
