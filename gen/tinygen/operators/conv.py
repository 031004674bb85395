# SPDX-License-Identifier: Apache-2.0
"""Convolution: patches of an image or a signal become tokens."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygen.lowering import Constant, Cores, Lowered, Names, Share, Site, Slot, StepArgs, Stream
from tinygen.lowering.context import REUSE
from tinygen.lowering.cores import TABLE, align8
from tinygen.numeric import I8, I32, Requant, Shape
from tinygen.numeric.matmul import exact_matmul
from tinygen.numeric.requant import requantise
from tinygen.operators.draw import Draw
from tinygen.operators.float_form import Array, Attrs, FloatForm
from tinygen.operators.linear import LinearArgs, tile_products
from tinygen.operators.lut import lut
from tinygen.operators.operator import Case, Operator, need
from tinygen.operators.windows import outputs, within
from tinygen.targets import Counts, Loops, scaled


def _real(i: list[Any], attrs: Attrs, shape: Shape) -> Array:
    """[C, H, W] -> [OH * OW, N], window by window."""
    x, q, scales, bias = i
    if attrs["channels_last"]:
        x = x.transpose(2, 0, 1)
    weight = q * scales.reshape(-1, 1, 1, 1)
    top, left, bottom, right = attrs["pads"]
    x = np.pad(x, ((0, 0), (top, bottom), (left, right)))
    (sh, sw), (dh, dw), groups = attrs["strides"], attrs["dilations"], attrs["group"]
    n, c, kh, kw = weight.shape
    high = (x.shape[1] - dh * (kh - 1) - 1) // sh + 1
    wide = (x.shape[2] - dw * (kw - 1) - 1) // sw + 1
    y = np.zeros((high * wide, n), np.float32)
    for g in range(groups):
        outs = slice(g * n // groups, (g + 1) * n // groups)
        part = x[g * c : (g + 1) * c]
        for a in range(kh):
            for b in range(kw):
                seen = part[:, a * dh :, b * dw :][:, : sh * (high - 1) + 1 : sh]
                seen = seen[:, :, : sw * (wide - 1) + 1 : sw].reshape(c, -1)
                y[:, outs] += seen.T @ weight[outs, :, a, b].T
    assert math.prod(shape) == y.size
    result: Array = y + bias
    return result


@dataclass(frozen=True, eq=False)
class Conv(Operator):
    """x [C, H, W] -> y [OH * OW, N], token-major, so that no transpose follows.

    weight: int8 [N, C/groups, KH, KW].  bias: int32 [N], with the zero point of x folded in over
    the whole window; padding reads as ``x_zp``.  stride: (h, w).  pads: (top, left, bottom, right).
    channels_last: x is [H, W, C] instead.
    """

    word = "conv"
    float_form = FloatForm("Convolve", "convolution", _real)

    weight: I8
    bias: I32
    requant: Requant
    stride: tuple[int, int]
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    x_zp: int = 0
    channels_last: bool = False
    table: I8 | None = None

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        x = inputs[0]
        need(len(x) == 3, "convolution takes [C, H, W]")
        oh, ow = self.plane(*((x[0], x[1]) if self.channels_last else (x[1], x[2])))
        need(oh > 0 and ow > 0, "window larger than the input")
        return (oh * ow, self.weight.shape[0])

    def plane(self, h: int, w: int) -> tuple[int, int]:
        """(OH, OW) over an h x w plane."""
        kernel = self.weight.shape[2], self.weight.shape[3]
        return outputs((h, w), kernel, self.stride, self.dilation, self.pads)

    def reference(self, inputs: Sequence[I8]) -> I8:
        """Window by window in row-major order of the output."""
        x = inputs[0]
        if self.channels_last:
            x = np.moveaxis(x, -1, 0)
        n_out, c_group, kh, kw = self.weight.shape
        top, left, bottom, right = self.pads
        padded = np.pad(x, ((0, 0), (top, bottom), (left, right)), constant_values=self.x_zp)
        (sh, sw), (dh, dw) = self.stride, self.dilation
        span = ((kh - 1) * dh + 1, (kw - 1) * dw + 1)
        windows: I8 = np.lib.stride_tricks.sliding_window_view(padded, span, (1, 2))  # type: ignore[call-overload]
        windows = windows[:, ::sh, ::sw, ::dh, ::dw]  # [C, OH, OW, KH, KW]
        tokens = windows.shape[1] * windows.shape[2]
        acc = np.empty((tokens, n_out), np.int64)
        per_group = n_out // self.groups
        for g in range(self.groups):
            outs = slice(g * per_group, (g + 1) * per_group)
            cols = windows[g * c_group : (g + 1) * c_group].transpose(1, 2, 0, 3, 4)
            acc[:, outs] = exact_matmul(
                cols.reshape(tokens, -1), self.weight[outs].reshape(per_group, -1).T
            )
        y = requantise(acc + self.bias, self.requant)
        return y if self.table is None else lut(y, self.table)

    @classmethod
    def random(cls, draw: Draw) -> Case:
        kernel, stride, dilation = (
            (int(draw.integers(1, most)), int(draw.integers(1, most))) for most in (4, 4, 3)
        )
        groups, per, n = draw.size(3), draw.size(3), draw.size(3)
        pads = tuple(int(draw.integers(0, 3)) for _ in range(4))
        h, w = (
            max(1, (kernel[i] - 1) * dilation[i] + 1 - pads[i] - pads[i + 2]) + draw.size(5) - 1
            for i in (0, 1)
        )
        most = 9_000 * per * kernel[0] * kernel[1]
        op = cls(
            draw.values(groups * n, per, *kernel),
            draw.bias(groups * n, most),
            draw.requant(most, groups * n),
            stride,
            (pads[0], pads[1], pads[2], pads[3]),
            dilation,
            groups,
            draw.zero(),
            bool(draw.integers(2)),
            draw.table(),
        )
        c = groups * per
        return Case(op, (draw.values(*((h, w, c) if op.channels_last else (c, h, w))),))

    def lower(self, site: Site) -> Lowered:
        x, t = site.inputs[0], site.target
        if self.channels_last:
            (h, w, c), strides = x, (1, x[1] * x[2], x[2])
        else:
            (c, h, w), strides = x, (x[1] * x[2], x[2], 1)
        n, k = self.weight.shape[0], math.prod(self.weight.shape[1:])
        out = self.plane(h, w)
        macs = out[0] * out[1] * n * k
        r = self.requant
        packed = site.pack(
            "", lambda: t.pack_conv(self.weight.reshape(n, k), self.groups, self.bias, r)
        )
        size = t.conv_scratch(n // self.groups, k)
        args = ConvStep(
            linear=LinearArgs(packed, n, k, r.s, r.zp, self.table),
            channels=c,
            height=h,
            width=w,
            kernel=(self.weight.shape[2], self.weight.shape[3]),
            stride=self.stride,
            dilation=self.dilation,
            pads=self.pads[:2],
            out=out,
            groups=self.groups,
            x_zp=self.x_zp,
            x_strides=strides,
            scratch=site.temporary("scratch", size, traffic=macs // REUSE),
        )
        return Lowered(args, macs // n, t.sources("conv"), macs=macs)


@dataclass(frozen=True, eq=False)
class ConvStep(StepArgs):
    """Geometry as in `tg_conv_t`."""

    header = "conv.h"
    block_bytes = 100

    linear: LinearArgs
    channels: int
    height: int
    width: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pads: tuple[int, int]
    out: tuple[int, int]
    groups: int
    x_zp: int
    x_strides: tuple[int, int, int]
    scratch: Slot | None

    def constants(self) -> Iterator[Constant]:
        return self.linear.constants()

    def blocks(self, c: Names) -> str:
        (kh, kw), (sh, sw), (dh, dw) = self.kernel, self.stride, self.dilation
        return (
            f"static const tg_conv_t {c.ident} = {{.linear = {self.linear.block(c)}, "
            f".channels = {self.channels}, .height = {self.height}, .width = {self.width}, "
            f".kernel_h = {kh}, .kernel_w = {kw}, "
            f".stride_h = {sh}, .stride_w = {sw}, .dilation_h = {dh}, .dilation_w = {dw}, "
            f".pad_top = {self.pads[0]}, .pad_left = {self.pads[1]}, .out_h = {self.out[0]}, "
            f".out_w = {self.out[1]}, .groups = {self.groups}, .x_zp = {self.x_zp}, "
            f".x_stride_c = {self.x_strides[0]}, .x_stride_h = {self.x_strides[1]}, "
            f".x_stride_w = {self.x_strides[2]}}};\n"
        )

    def call(self, c: Names) -> str:
        return f"tg_conv_s8(&{c.ident}, {c.x}, {c.y}, {self.linear.n}, {c.place(self.scratch)});"

    def functions(self) -> Iterator[str]:
        yield "tg_conv_s8"

    def loops(self, loops: Loops) -> Counts:
        """Windows gathered by fours, each block a product: kernels/src/portable/conv.c."""
        tokens, n, taps = self.out[0] * self.out[1], self.linear.n // self.groups, self.linear.k
        blocks, rest = divmod(tokens, 4)
        how = self.linear.table is not None, self.linear.packed.form
        counts = scaled(loops.linear(4, n, taps, *how), blocks * self.groups)
        if rest:
            counts += scaled(loops.linear(rest, n, taps, *how), self.groups)
        channels = self.channels // self.groups
        size = self.height, self.width
        (rows, row_rounds), (columns, column_rounds) = (
            within(
                *(size[i], self.kernel[i], self.stride[i]),
                *(self.dilation[i], self.pads[i], self.out[i]),
            )
            for i in (0, 1)
        )
        gathered = self.channels * row_rounds * column_rounds
        counts += Counter(
            {
                "conv.tap": gathered,
                "conv.tap.inside": self.channels * rows * columns,
                "conv.tap.beside": self.channels * rows * (column_rounds - columns),
                "conv.row": self.groups * tokens * channels * self.kernel[0],
                "conv.channel": self.groups * tokens * channels,
                "conv.window": self.groups * tokens,
                "conv.block": self.groups * (blocks + (rest > 0)),
                "conv.group": self.groups,
                "conv.call": 1,
            }
        )
        return counts

    def weight_reads(self, stream: Stream) -> int:
        return stream.product(self.linear.packed.w.nbytes, self.out[0] * self.out[1])

    # -- on a cluster -----------------------------------------------------------------------------

    def share(self, cores: Cores) -> Share:
        """`tg_cluster_conv_s8`."""
        t, n, k = cores.target, self.linear.n // self.groups, self.linear.k
        weights = align8(self.groups * t.linear_weights(n, k))
        table = TABLE if self.linear.table is not None else 0
        work = weights + table + cores.count * align8(t.conv_scratch(n, k))
        return Share(work, files=("cluster/conv.c",))

    def shared_call(self, c: Names) -> str:
        return f"tg_cluster_conv_s8(&{c.ident}, {c.x}, {c.y}, {c.place(c.work)});"

    def busiest(self, cores: int, tiles: int) -> Counts | None:
        """Output rows to cores, or the columns of the only one: kernels/src/xpulpv2/conv.c."""
        tokens = math.ceil(self.out[0] / cores) * self.out[1]
        if self.out[0] == 1:
            tokens = math.ceil(self.out[1] / cores)
        n, taps, groups = self.linear.n // self.groups, self.linear.k, self.groups
        words = math.ceil(taps / 4)
        counts = tile_products(groups, tokens, math.ceil(n / 4), words, self.linear.kind)
        counts["conv.tap"] += tokens * groups * taps
        counts["conv.place"] += tokens * groups * math.prod(self.kernel)
        counts["conv.window"] += tokens * groups
        if taps % 4:  # not interleaved word by word
            counts["conv.bytes"] += tokens * groups * taps
        counts["conv.block"] += math.ceil(tokens / 4) * groups
        counts["conv.call"] += 1
        counts["bytes"] += groups * math.ceil(n / 4) * (48 + 16 * words)
        if self.linear.table is not None:
            counts["table"] += tokens * self.linear.n
        elif n % 4:
            counts["ragged"] += tokens * self.linear.n
        return counts
