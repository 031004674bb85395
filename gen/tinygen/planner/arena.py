# SPDX-License-Identifier: Apache-2.0
"""Pack buffers into regions, and prove that the packing holds."""

from __future__ import annotations

from collections.abc import Sequence

from tinygen.boards import Region
from tinygen.errors import TinygenError
from tinygen.planner.plan import Buffer, Placement, peak

ALIGN = 8
"""Every buffer starts on a multiple of this."""


def align_up(n: int, to: int = ALIGN) -> int:
    return -(-n // to) * to


def pack(buffers: Sequence[Buffer], regions: Sequence[Region]) -> tuple[Placement, ...]:
    """Greedy by size into the fastest region that still has room; the same input, the same answer.

    Tries several orders and keeps the smallest arena. Raises ValueError if a buffer fits nowhere.
    """
    by_speed = sorted(regions, key=lambda r: r.speed)
    orders = (
        lambda b: (-b.size, b.first, b.name),
        lambda b: (-(b.last - b.first + 1) * b.size, b.first, b.name),
        lambda b: (b.first, -b.size, b.name),
        lambda b: (-b.traffic, -b.size, b.name),
    )
    best: tuple[Placement, ...] | None = None
    for order in orders:
        try:
            tried = _first_fit(sorted(buffers, key=order), by_speed)
        except ValueError:
            continue
        if best is None or _end(tried) < _end(best):
            best = tried
    if best is None:
        raise ValueError("no packing fits")
    return best


def _end(placements: Sequence[Placement]) -> int:
    tops: dict[str, int] = {}
    for p in placements:
        tops[p.region] = max(tops.get(p.region, 0), p.offset + p.buffer.size)
    return sum(tops.values())


def _first_fit(buffers: Sequence[Buffer], regions: Sequence[Region]) -> tuple[Placement, ...]:
    placed: list[Placement] = []
    for buffer in buffers:
        for region in regions:
            offset = _lowest_gap(buffer, [p for p in placed if p.region == region.name])
            if offset + buffer.size <= region.usable:
                placed.append(Placement(buffer, region.name, offset))
                break
        else:
            raise ValueError(buffer.name)
    return tuple(placed)


def _lowest_gap(buffer: Buffer, placed: Sequence[Placement]) -> int:
    """The lowest aligned offset free for the whole life of the buffer."""
    conflicts = sorted(
        (p.offset, p.offset + p.buffer.size) for p in placed if overlap(p.buffer, buffer)
    )
    offset = 0
    for start, end in conflicts:
        if offset + buffer.size <= start:
            break
        offset = max(offset, align_up(end))
    return offset


def overlap(a: Buffer, b: Buffer) -> bool:
    """Alive at the same time."""
    return a.first <= b.last and b.first <= a.last


def check_packing(placements: Sequence[Placement], regions: Sequence[Region]) -> None:
    """Independent proof: aligned, inside its region, no two live buffers share a byte."""
    size = {r.name: r.usable for r in regions}
    for i, p in enumerate(placements):
        if p.offset % ALIGN or p.offset < 0 or p.offset + p.buffer.size > size[p.region]:
            raise TinygenError(f"planner fault: buffer {p.buffer.name} is misplaced")
        for q in placements[:i]:
            disjoint = (
                p.region != q.region
                or p.offset + p.buffer.size <= q.offset
                or q.offset + q.buffer.size <= p.offset
            )
            if not disjoint and overlap(p.buffer, q.buffer):
                raise TinygenError(
                    f"planner fault: buffers {p.buffer.name} and {q.buffer.name} overlap"
                )


def lower_bound(placements: Sequence[Placement], region: str) -> int:
    return peak([p.buffer for p in placements if p.region == region])[0]
