# SPDX-License-Identifier: Apache-2.0
"""Random operators for tests: any shape, any zero point, the parameters anywhere in their ranges.

Each operator's file says how to make one (`Operator.random`); here is what they share.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygen.numeric import I8, I32, U8, U16, Requant, RowScale
from tinygen.operators.view import Strided

EXTREMES = (-128, -127, -1, 0, 1, 127)


class Draw(np.random.Generator):
    """grow: how many times larger than usual the sizes may be."""

    def __init__(self, seed: int, grow: int = 1) -> None:
        super().__init__(np.random.PCG64(seed))
        self.grow = grow

    def size(self, most: int) -> int:
        """Small sizes come more often; all up to `most` come."""
        return int(self.integers(1, self.integers(2, self.grow * most + 2)))

    def one_of(self, choices: Sequence[Any]) -> Any:
        return choices[int(self.integers(len(choices)))]

    def values(self, *shape: int) -> I8:
        """Any values, or only the extremes."""
        if self.random() < 0.25:
            return self.choice(np.array(EXTREMES, np.int8), shape)
        return self.integers(-128, 128, shape, np.int8)

    def table(self) -> I8 | None:
        return self.values(256) if self.random() < 0.4 else None

    def zero(self) -> int:
        """A zero point."""
        return int(self.one_of((-128, 0, 127, self.integers(-128, 128))))

    def bias(self, n: int, most: int) -> I32:
        return self.integers(-most, most + 1, n).astype(np.int32)

    def requant(self, most: int, n: int = 1) -> Requant:
        """For sums that use `most`, or some of it: results use their range, or saturate. n: one
        multiplier, or one for each of n outputs."""
        ratio = 128 / most * 2.0 ** self.uniform(-1, 6)
        s = min(32, 15 - math.frexp(ratio)[1]) if self.random() < 0.5 else 32
        channels = n if self.random() < 0.7 else 1
        m = np.rint(ratio * 2.0**s * self.uniform(0.25, 1, channels))
        return Requant(np.clip(m, 1, (1 << 31) - 1).astype(np.int32), max(1, s), self.zero())

    def view(self, dims: tuple[int, ...]) -> tuple[Strided, I8]:
        """A tensor read through these loops: in order, transposed, with gaps, backwards or
        repeated; and the tensor."""
        order = self.permutation(len(dims)) if self.random() < 0.5 else range(len(dims))
        strides, step = [0] * len(dims), 1
        offset = int(self.integers(0, 4)) if self.random() < 0.3 else 0
        for axis in reversed(list(order)):
            if self.random() < 0.15:
                continue  # repeated
            stride = step * int(self.choice([1, 1, 1, 2]))
            if self.random() < 0.1:
                offset += (dims[axis] - 1) * stride
                stride = -stride
            strides[axis] = stride
            step = abs(stride) * dims[axis]
        found = Strided(dims, tuple(strides), offset)
        return found, self.values(found.last + 1 + int(self.integers(0, 3)))

    def axes(self, most: int = 5) -> tuple[int, int, int, int]:
        a, b, c, d = (self.size(most) for _ in range(4))
        return -(-a // self.grow), -(-b // self.grow), c, self.size(9) if d > 1 else 1

    def exp_table(self, bits: int) -> U16:
        """Falling from full scale, steeply or hardly."""
        full = (1 << bits) - 1
        decay = 2.0 ** self.uniform(-9, 1) if self.random() < 0.9 else 0.0
        table: U16 = np.rint(full * np.exp(-decay * np.arange(256))).astype(np.uint16)
        return table

    def row_scale(self, bits: int) -> RowScale:
        """For weights of so many bits."""
        s = int(self.integers(33, 41))
        frac = max(int(self.integers(4, 20)), s - 15 - bits)
        reach = int(self.choice([1, 128, 600, 1 << (61 - s)])) << (s - 32)
        offset = int(self.integers(1 - reach, reach))
        return RowScale(int(self.integers(1 << 14, 1 << 15)), frac, s, offset)

    def mask(self, rows: int, keys: int) -> U8 | None:
        """Every row sees an element."""
        if self.random() < 0.4:
            return None
        found = (self.random((rows, keys)) < self.random()).astype(np.uint8)
        found[np.arange(rows), self.integers(0, keys, rows)] = self.integers(1, 256)
        return found
