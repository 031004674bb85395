# SPDX-License-Identifier: Apache-2.0
"""Constants, plain or on a grid.

A ``Grid`` node stands for quantised weights: inputs are the integers (zero point already taken off)
and the scale of every element, so that moving, cutting or joining weights is plain indexing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.graph import Float
from tinygen.passes.engine import Scope

F64 = NDArray[np.float64]


def as_grid(scope: Scope, name: str) -> tuple[NDArray[Any], F64] | None:
    """(integers, scale of each element) of a quantised constant, else None."""
    node = scope.made_by(name, "Grid")
    if node is None:
        return None
    integers, scales = (scope.data(i) for i in node.inputs)
    assert integers is not None and scales is not None
    return integers, scales


def make_grid(scope: Scope, integers: NDArray[Any], scales: F64) -> str:
    """A quantised constant; ``scales`` broadcasts to the shape of ``integers``."""
    full = np.broadcast_to(np.asarray(scales, np.float64), integers.shape)
    inputs = scope.constant(integers), scope.constant(np.ascontiguousarray(full))
    return scope.emit(Float("Grid"), inputs, integers.shape)


def real(scope: Scope, name: str) -> F64 | None:
    """The values of any constant, quantised or not, else None."""
    data = scope.data(name)
    if data is not None:
        return np.asarray(data, np.float64)
    grid = as_grid(scope, name)
    with np.errstate(invalid="ignore"):  # 0 times a scale that is not finite
        return None if grid is None else grid[0].astype(np.float64) * grid[1]


def is_constant(scope: Scope, name: str) -> bool:
    return scope.data(name) is not None or scope.made_by(name, "Grid") is not None


def is_scalar(scope: Scope, name: str) -> bool:
    """A constant of one element."""
    return is_constant(scope, name) and int(np.prod(scope.shape(name))) == 1
