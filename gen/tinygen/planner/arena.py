# SPDX-License-Identifier: Apache-2.0
"""Pack buffers into the memories of a board: the hottest bytes into the fastest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tinygen.boards import Region
from tinygen.lowering import Buffer
from tinygen.lowering.live import ALIGN, Item, live_peak
from tinygen.planner.check import check_packing
from tinygen.planner.exact import height, heuristic, pack_items
from tinygen.planner.plan import Placement

__all__ = ["ALIGN", "Arena", "align_up", "check_packing", "live_bytes", "pack", "smallest"]


def align_up(n: int, to: int = ALIGN) -> int:
    return -(-n // to) * to


@dataclass(frozen=True)
class Arena:
    """placements: in the order of the buffers.  proven: regions whose height is the smallest
    possible for the buffers in them."""

    placements: tuple[Placement, ...]
    proven: frozenset[str]

    @property
    def used(self) -> int:
        """Bytes of all regions."""
        ends: dict[str, int] = {}
        for q in self.placements:
            end = align_up(q.offset + q.buffer.size)
            ends[q.region] = max(ends.get(q.region, 0), end)
        return sum(ends.values())


def smallest(buffers: Sequence[Buffer]) -> int:
    """Bytes that the buffers take in one region without end."""
    return pack_items(_items(buffers)[1]).height


def pack(buffers: Sequence[Buffer], regions: Sequence[Region]) -> Arena:
    """Everything into the fastest region if it fits, else the most traffic a byte first.

    The same input gives the same answer. Raises ValueError if a buffer fits nowhere.
    """
    by_speed = sorted(regions, key=lambda r: r.speed)  # stable: the board's order among equals
    orders: tuple[Callable[[Buffer], tuple[float | str, ...]], ...] = (
        lambda b: (-b.traffic / b.size, -b.size, b.name),
        lambda b: (-b.size, b.first, b.name),
        lambda b: (-b.size * (b.last - b.first + 1), b.first, b.name),
    )
    for order in orders:
        chosen = _assign(sorted(buffers, key=order), by_speed)
        if chosen is not None:
            return _arena(buffers, chosen, by_speed)
    raise ValueError("no packing fits")


def _items(buffers: Sequence[Buffer]) -> tuple[list[Buffer], list[Item]]:
    """In the order of the schedule, whatever the order of assignment was."""
    ordered = sorted(buffers, key=lambda b: (b.first, b.last, b.name))
    return ordered, [Item(align_up(b.size), b.first, b.last) for b in ordered]


def live_bytes(buffers: Sequence[Buffer]) -> int:
    """The largest sum of live buffers, padding included: no packing is smaller."""
    return live_peak(_items(buffers)[1])


def _assign(buffers: Sequence[Buffer], regions: Sequence[Region]) -> dict[str, list[Buffer]] | None:
    """Region -> buffers, in that order, each to the fastest region that still holds all of its."""
    if _fits(buffers, regions[0]):
        return {regions[0].name: list(buffers)}
    chosen: dict[str, list[Buffer]] = {r.name: [] for r in regions}
    for buffer in buffers:
        for region in regions:
            if _fits([*chosen[region.name], buffer], region):
                chosen[region.name].append(buffer)
                break
        else:
            return None
    return chosen


def _fits(buffers: Sequence[Buffer], region: Region) -> bool:
    """By the bound if that says no, by a quick packing if that says yes, else by search."""
    items, room = _items(buffers)[1], region.usable // ALIGN * ALIGN
    if live_peak(items) > room:
        return False
    return height(items, heuristic(items)) <= room or pack_items(items).height <= room


def _arena(
    buffers: Sequence[Buffer], chosen: dict[str, list[Buffer]], regions: Sequence[Region]
) -> Arena:
    where: dict[str, Placement] = {}
    proven = set()
    for name, mine in chosen.items():
        ordered, items = _items(mine)
        packing = pack_items(items)
        if packing.proven:
            proven.add(name)
        for buffer, offset in zip(ordered, packing.offsets, strict=True):
            where[buffer.name] = Placement(buffer, name, offset)
    arena = Arena(tuple(where[b.name] for b in buffers), frozenset(proven))
    check_packing(arena.placements, regions)
    return arena
