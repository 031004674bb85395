# SPDX-License-Identifier: Apache-2.0
"""Integer arithmetic that every operator shares: arrays, requantisation, exact products."""

from tinygen.numeric.requant import Requant, RowScale
from tinygen.numeric.types import I8, I16, I32, I64, U8, U16, Shape

__all__ = ["I8", "I16", "I32", "I64", "U8", "U16", "Requant", "RowScale", "Shape"]
