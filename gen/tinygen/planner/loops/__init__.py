# SPDX-License-Identifier: Apache-2.0
"""What the kernels of a target do, counted from shapes: how often each of their loops goes round.

A count is named after the loop; what one round costs on a core is fitted (costs/<target>.json).
One module a family of kernels, beside them in structure: who changes a kernel's loops changes its
counts here, and runs benchmarks/fit_costs.py again.
"""

from __future__ import annotations

from tinygen.planner.loops.armv7em import ArmV7EMLoops
from tinygen.planner.loops.base import Counts, Loops, scaled
from tinygen.planner.loops.compact import CompactLoops
from tinygen.planner.loops.portable import PortableLoops

__all__ = ["Counts", "Loops", "compact_loops", "get_loops", "scaled"]


def get_loops(target: str) -> Loops | None:
    """None where nobody has counted the loops."""
    if target == "armv7em":
        return ArmV7EMLoops()
    return PortableLoops() if target == "portable" else None


def compact_loops() -> Loops:
    """Of attention with 8-bit operands, on targets that have both."""
    return CompactLoops()
