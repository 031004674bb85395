# SPDX-License-Identifier: Apache-2.0
"""How many samples a board's flash holds beside the model."""

from __future__ import annotations

from tinygen.planner import Plan

LABEL = 4
"""Bytes."""


def samples_that_fit(plan: Plan, bytes_each: int, wanted: int) -> int:
    """At most `wanted`, at least one. bytes_each: inputs, outputs and labels of a sample.

    Where the size of the code was never measured, `wanted`: the linker will tell. A cluster's
    samples do not lie beside its weights.
    """
    if plan.footprint is None or plan.board.core.count > 1 or not plan.board.flash:
        return wanted
    room = plan.board.flash[0].usable - plan.flash_bytes
    return max(1, min(wanted, room // bytes_each))
