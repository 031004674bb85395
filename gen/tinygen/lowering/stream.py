# SPDX-License-Identifier: Apache-2.0
"""Weights that stream from flash: once for every group of rows that shares a pass over them, unless
half of the data cache holds them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tinygen.targets import Target


@dataclass(frozen=True)
class Stream:
    """tile: rows that share a pass.  dcache: bytes of the core's data cache."""

    target: Target
    tile: int
    dcache: int

    def passes(self, rows: int) -> int:
        return math.ceil(rows / self.tile)

    def read(self, size: int, passes: int) -> int:
        """Bytes read for so many passes over weights of this size."""
        return size if 2 * size <= self.dcache else size * passes

    def product(self, size: int, rows: int) -> int:
        """Bytes read for a product of so many rows."""
        return self.read(size, self.passes(rows))
