# SPDX-License-Identifier: Apache-2.0
"""The largest of each window."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygen.lowering import Cores, Lowered, Names, Share, Site, StepArgs
from tinygen.numeric import I8, Shape
from tinygen.operators.draw import Draw
from tinygen.operators.float_form import Array, Attrs, FloatForm
from tinygen.operators.operator import Case, Operator, need
from tinygen.operators.windows import outputs, within
from tinygen.targets import Counts, Loops


def largest(i: list[Any], attrs: Attrs, shape: Shape) -> Array:
    (top, left, bottom, right), (kh, kw), (sh, sw) = (
        attrs[k] for k in ("pads", "kernel", "strides")
    )
    x = np.pad(i[0], ((top, bottom), (left, right), (0, 0)), constant_values=-np.inf)
    high, wide = (x.shape[0] - kh) // sh + 1, (x.shape[1] - kw) // sw + 1
    parts = [x[i::sh, j::sw][:high, :wide] for i, j in np.ndindex(kh, kw)]
    y: Array = np.max(parts, axis=0).reshape(shape)
    return y


@dataclass(frozen=True, eq=False)
class MaxPool(Operator):
    """x [H, W, C] -> y [OH * OW, C], token-major: the largest of each window; padding never wins.

    kernel, stride: (h, w).  pads: (top, left, bottom, right), smaller than the kernel.
    """

    word = "max"
    label = "pool"
    float_form = FloatForm("Largest", "maximum", largest, rounds=False)

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        x = inputs[0]
        need(len(x) == 3, "maximum pooling takes [H, W, C]")
        oh, ow = self.plane(x[0], x[1])
        need(oh > 0 and ow > 0, "window larger than the input")
        return (oh * ow, x[2])

    def plane(self, h: int, w: int) -> tuple[int, int]:
        """(OH, OW) over an h x w plane."""
        return outputs((h, w), self.kernel, self.stride, (1, 1), self.pads)

    def fault(self, inputs: Sequence[Shape]) -> str | None:
        if any(not 0 <= pad < self.kernel[i % 2] for i, pad in enumerate(self.pads)):
            return "pooling has windows of padding only"
        return None

    def reference(self, inputs: Sequence[I8]) -> I8:
        x = inputs[0]
        top, left, bottom, right = self.pads
        padded = np.pad(x, ((top, bottom), (left, right), (0, 0)), constant_values=-128)
        oh, ow = self.plane(x.shape[0], x.shape[1])
        y = np.full((oh, ow, x.shape[2]), -128, np.int8)
        for i, j in np.ndindex(self.kernel):
            seen = padded[i :: self.stride[0], j :: self.stride[1]]
            y = np.maximum(y, seen[:oh, :ow])
        return y.reshape(-1, x.shape[2])

    @classmethod
    def random(cls, draw: Draw) -> Case:
        kernel, stride = ((draw.size(3), draw.size(3)) for _ in "ks")
        pads = tuple(int(draw.integers(0, kernel[i % 2])) for i in range(4))
        h, w = (max(1, kernel[i] - pads[i] - pads[i + 2]) + draw.size(5) - 1 for i in (0, 1))
        op = cls(kernel, stride, (pads[0], pads[1], pads[2], pads[3]))
        return Case(op, (draw.values(h, w, draw.size(9)),))

    def lower(self, site: Site) -> Lowered:
        h, w, c = site.inputs[0]
        args = MaxStep((h, w), c, self.kernel, self.stride, self.pads[:2], self.plane(h, w))
        reads = math.prod(site.output) * math.prod(self.kernel)
        return Lowered(args, reads, site.target.sources("max"))


@dataclass(frozen=True, eq=False)
class MaxStep(StepArgs):
    """Geometry as in `tg_max_t`; size, out: (h, w).  pads: top, left."""

    header = "max.h"
    block_bytes = 40

    size: tuple[int, int]
    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pads: tuple[int, int]
    out: tuple[int, int]

    def blocks(self, c: Names) -> str:
        return (
            f"static const tg_max_t {c.ident} = {{.height = {self.size[0]}, "
            f".width = {self.size[1]}, .channels = {self.channels}, "
            f".kernel_h = {self.kernel[0]}, .kernel_w = {self.kernel[1]}, "
            f".stride_h = {self.stride[0]}, .stride_w = {self.stride[1]}, "
            f".pad_top = {self.pads[0]}, .pad_left = {self.pads[1]}, .out_w = {self.out[1]}}};\n"
        )

    def call(self, c: Names) -> str:
        return f"tg_max_s8(&{c.ident}, {c.x}, 0, {math.prod(self.out)}, {c.y});"

    def functions(self) -> Iterator[str]:
        yield "tg_max_s8"

    def loops(self, loops: Loops) -> Counts:
        """Windows clipped to the image: kernels/src/portable/max.c."""
        (rows, _), (columns, _) = (
            within(self.size[i], self.kernel[i], self.stride[i], 1, self.pads[i], self.out[i])
            for i in (0, 1)
        )
        windows = self.out[0] * self.out[1]
        return Counter(
            {
                "max": self.channels * rows * columns,
                "max.row": self.channels * rows * self.out[1],
                "max.channel": self.channels * windows,
                "max.window": windows,
                "max.call": 1,
            }
        )

    def share(self, cores: Cores) -> Share:
        return Share(files=("cluster/max.c",))

    def shared_call(self, c: Names) -> str:
        return f"tg_cluster_max_s8(&{c.ident}, {c.x}, {math.prod(self.out)}, {c.y});"

    def busiest(self, cores: int, tiles: int) -> Counts | None:
        values = math.ceil(math.prod(self.out) / cores) * self.channels
        return Counter(
            {
                **{"pool": values * math.prod(self.kernel), "pool.row": values * self.kernel[0]},
                **{"pool.value": values, "pool.call": 1},
            }
        )
