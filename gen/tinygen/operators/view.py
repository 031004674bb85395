# SPDX-License-Identifier: Apache-2.0
"""Reading a tensor through strides: transposed, repeated, cut, without moving a byte."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_AXES = 4
"""Axes that a kernel loops over."""


@dataclass(frozen=True)
class Strided:
    """Element (i, j, ...) of `dims` is element ``offset + i strides[0] + j strides[1] + ...`` of a
    tensor, counted flat. A stride of 0 repeats."""

    dims: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0

    @property
    def index(self) -> NDArray[np.int64]:
        """Flat positions in the source, in the shape `dims`."""
        out = np.full(self.dims, self.offset, np.int64)
        for axis, (size, stride) in enumerate(zip(self.dims, self.strides, strict=True)):
            along = [1] * len(self.dims)
            along[axis] = size
            out += (np.arange(size, dtype=np.int64) * stride).reshape(along)
        return out

    @property
    def last(self) -> int:
        """The furthest element that is read."""
        steps = zip(self.dims, self.strides, strict=True)
        return self.offset + sum((d - 1) * s for d, s in steps if s > 0)

    @property
    def first(self) -> int:
        """The nearest element that is read."""
        steps = zip(self.dims, self.strides, strict=True)
        return self.offset + sum((d - 1) * s for d, s in steps if s < 0)


def read(x: NDArray[np.int8], view: Strided) -> NDArray[np.int64]:
    """x through a view, in 64 bits."""
    return x.reshape(-1)[view.index].astype(np.int64)


def beyond(view: Strided, shape: tuple[int, ...]) -> str | None:
    """What is wrong with reading a tensor of this shape so, or None."""
    inside = view.first >= 0 and view.last < math.prod(shape)
    return None if inside else f"a view reaches beyond its input {shape}"


def contiguous(dims: tuple[int, ...]) -> Strided:
    """A tensor of this shape read in its own order."""
    return Strided(dims, tuple(math.prod(dims[i + 1 :]) for i in range(len(dims))))


def factored(index: NDArray[np.int64]) -> Strided | None:
    """The fewest nested loops that visit flat positions in this order; None if there are none.

    The innermost loop is the longest run of one step that tiles the whole.
    """
    dims: list[int] = []
    strides: list[int] = []
    flat = index.reshape(-1)
    while flat.size > 1:
        size = _run(flat)
        if size == 1:
            return None
        dims.insert(0, size)
        strides.insert(0, int(flat[1] - flat[0]))
        flat = flat[::size]
    offset = int(flat[0]) if flat.size else 0
    return Strided(tuple(dims) or (1,), tuple(strides) or (0,), offset)


def _run(flat: NDArray[np.int64]) -> int:
    """The longest run that starts every block alike: flat is blocks of start + 0, step, 2 step.."""
    step = flat[1] - flat[0]
    breaks = np.flatnonzero(np.diff(flat) != step)
    longest = int(breaks[0]) + 1 if breaks.size else flat.size
    for size in range(longest, 1, -1):
        if flat.size % size == 0:
            blocks = flat.reshape(-1, size)
            if np.all(blocks - blocks[:, :1] == step * np.arange(size)):
                return size
    return 1


def within(index: NDArray[np.int64], dims: tuple[int, ...]) -> Strided | None:
    """Flat positions as loops over exactly these axes; None where an axis has no one stride."""
    index = index.reshape(dims)
    strides = []
    for axis, size in enumerate(dims):
        steps = np.diff(index, axis=axis)
        if size > 1 and np.any(steps != steps.flat[0]):
            return None
        strides.append(int(steps.flat[0]) if size > 1 else 0)
    return Strided(dims, tuple(strides), int(index.flat[0]))
