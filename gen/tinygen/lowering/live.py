# SPDX-License-Identifier: Apache-2.0
"""Bytes and how long they are needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ALIGN = 8
"""Every buffer starts on a multiple of this."""


@dataclass(frozen=True)
class Item:
    """size in bytes (a multiple of the alignment); [first, last] in ticks, both inclusive."""

    size: int
    first: int
    last: int


def live_peak(items: Sequence[Item]) -> int:
    """The largest sum of items alive at one tick: no packing is lower."""
    change: dict[int, int] = {}
    for item in items:
        change[item.first] = change.get(item.first, 0) + item.size
        change[item.last + 1] = change.get(item.last + 1, 0) - item.size
    live = best = 0
    for tick in sorted(change):
        live += change[tick]
        best = max(best, live)
    return best
