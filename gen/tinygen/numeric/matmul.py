# SPDX-License-Identifier: Apache-2.0
"""Exact integer products."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.numeric.types import I64


def exact_matmul(a: NDArray[Any], b: NDArray[Any]) -> I64:
    """a @ b on integers, through BLAS: float64 is exact below 2^53 and operands here stay there."""
    return (a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)
