# SPDX-License-Identifier: Apache-2.0
"""What the user wishes of a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tinygen.operators import Fusion
from tinygen.operators.attention import AttentionSchedule
from tinygen.operators.attention.schedule import Kind


@dataclass(frozen=True)
class Options:
    """attention: None = the planner decides.  row_block: query rows.

    max_ram: bytes of arena.  max_flash: bytes of weights, tables and code.  max_latency: predicted
    milliseconds.  schedules: attention node -> its only schedule, for measurements.
    feed_forward_block: rows of two linear layers at a time.  input_in_arena: it lies there, and
    later layers overwrite it; else it is the caller's.  fusion: of attention weights, None = where
    it wins; `make_plan` takes the graph as it is.
    short: the arithmetic was shortened (`tinygen.passes.short`); kept for updates only,
    as are the outputs that were chosen of the model's.
    """

    attention: Kind | None = None
    row_block: int | None = None
    max_ram: int | None = None
    max_flash: int | None = None
    max_latency: float | None = None
    feed_forward_block: int | None = None
    input_in_arena: bool = False
    fusion: Fusion | None = None
    schedules: Mapping[str, AttentionSchedule] = field(default_factory=dict)
    short: bool = False
    outputs: tuple[str, ...] = ()
