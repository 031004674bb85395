# SPDX-License-Identifier: Apache-2.0
"""Is a packing right? Knows nothing of how it was found."""

from __future__ import annotations

from collections.abc import Sequence

from tinygen.boards import Region
from tinygen.errors import TinygenError
from tinygen.lowering.live import ALIGN
from tinygen.planner.plan import Placement


def check_packing(placements: Sequence[Placement], regions: Sequence[Region]) -> None:
    """Raise `TinygenError` unless every buffer is aligned, within what its region grants, and
    shares no byte with another that is alive at the same time."""
    room = {r.name: r.usable for r in regions}
    for i, p in enumerate(placements):
        end = p.offset + p.buffer.size
        if p.offset < 0 or p.offset % ALIGN or p.region not in room or end > room[p.region]:
            raise TinygenError(f"planner fault: buffer {p.buffer.name} is misplaced")
        for q in placements[:i]:
            bytes_meet = p.region == q.region and max(p.offset, q.offset) < min(
                end, q.offset + q.buffer.size
            )
            lives_meet = max(p.buffer.first, q.buffer.first) <= min(p.buffer.last, q.buffer.last)
            if bytes_meet and lives_meet:
                raise TinygenError(
                    f"planner fault: buffers {p.buffer.name} and {q.buffer.name} overlap"
                )
