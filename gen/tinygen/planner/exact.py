# SPDX-License-Identifier: Apache-2.0
"""Smallest packing of intervals: an exact branch and bound with a limit on nodes, not on time.

The problem (dynamic storage allocation): every item has a size and a life [first, last]; two items
alive together must not share a byte; the height of the whole is to be smallest. Networks give it
much structure, which two exact reductions use up before any search: parts that no life connects
are solved apart, and an item alive together with all others may lie at the bottom. What is left is
searched in order of offsets (each item rests on an earlier one), so the answer is always the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tinygen.lowering.live import Item, live_peak

NODE_LIMIT = 3_000
"""Nodes of the search for one irreducible part; most parts need none."""


@dataclass(frozen=True)
class Packing:
    """offsets: one an item.  height: their end.  bound: no packing is lower.

    proven: the height is the smallest possible, either because it is the largest sum of live items
    or because the search was exhausted.
    """

    offsets: tuple[int, ...]
    height: int
    bound: int
    proven: bool


def pack_items(items: Sequence[Item], node_limit: int = NODE_LIMIT) -> Packing:
    """The lowest packing that was found; the same items, the same answer."""
    offsets = [0] * len(items)
    least = _solve(items, list(range(len(items))), 0, offsets, node_limit, {})
    found = height(items, offsets)
    if found > least:  # the search gave up somewhere: the whole may do better than its parts
        quick = heuristic(items)
        if height(items, quick) < found:
            offsets, found = quick, height(items, quick)
    return Packing(tuple(offsets), found, live_peak(items), found == least)


def height(items: Sequence[Item], offsets: Sequence[int]) -> int:
    return max((o + i.size for o, i in zip(offsets, items, strict=True)), default=0)


def first_fit(items: Sequence[Item], order: Sequence[int]) -> list[int]:
    """Items in that order, each at the lowest offset that is free for its whole life."""
    offsets = [0] * len(items)
    placed: list[int] = []
    for i in order:
        item, offset = items[i], 0
        around = sorted(
            (offsets[j], offsets[j] + items[j].size)
            for j in placed
            if items[j].first <= item.last and item.first <= items[j].last
        )
        for start, end in around:
            if offset + item.size <= start:
                break
            offset = max(offset, end)
        offsets[i] = offset
        placed.append(i)
    return offsets


def heuristic(items: Sequence[Item]) -> list[int]:
    """The best of four first-fit orders."""
    keys: tuple[Callable[[Item], tuple[int, ...]], ...] = (
        lambda i: (-i.size, i.first),
        lambda i: (-(i.last - i.first + 1) * i.size, i.first),
        lambda i: (i.first, -i.size),
        lambda i: (-(i.last - i.first), -i.size),
    )
    tried = []
    for key in keys:
        order = sorted(range(len(items)), key=lambda n, k=key: (*k(items[n]), n))  # type: ignore[misc]
        offsets = first_fit(items, order)
        tried.append((height(items, offsets), offsets))
    return min(tried, key=lambda t: t[0])[1]


_Memo = dict[tuple[Item, ...], tuple[list[int], int]]


def _solve(
    items: Sequence[Item], which: list[int], floor: int, out: list[int], limit: int, memo: _Memo
) -> int:
    """Write the offsets of the items `which`, from `floor` up; return what none can go below."""
    least = floor
    for part in _components(items, which):
        base = floor
        while part and (bottom := _touches_all(items, part)) is not None:
            out[bottom] = base
            base += items[bottom].size
            part.remove(bottom)
        if base > floor:  # the removal may have cut the part in two
            least = max(least, _solve(items, part, base, out, limit, memo))
            continue
        normal = _normal([items[i] for i in part])
        if normal not in memo:
            memo[normal] = _Search(normal, limit).run()
        offsets, part_least = memo[normal]
        for i, offset in zip(part, offsets, strict=True):
            out[i] = base + offset
        least = max(least, base + part_least)
    return least


def _components(items: Sequence[Item], which: list[int]) -> list[list[int]]:
    """Groups of items between which no tick is shared."""
    parts: list[list[int]] = []
    end = -1
    for i in sorted(which, key=lambda n: (items[n].first, items[n].last, -items[n].size, n)):
        if not parts or items[i].first > end:
            parts.append([])
        parts[-1].append(i)
        end = max(end, items[i].last)
    return parts


def _touches_all(items: Sequence[Item], part: list[int]) -> int | None:
    """An item alive together with every other one of the part."""
    latest = max(items[i].first for i in part)
    earliest = min(items[i].last for i in part)
    together = (i for i in part if items[i].first <= earliest and items[i].last >= latest)
    return next(together, None)


def _normal(items: list[Item]) -> tuple[Item, ...]:
    """The same lives on consecutive ticks, so that equal blocks of a network are solved once."""
    ticks = sorted({t for i in items for t in (i.first, i.last + 1)})
    rank = {t: n for n, t in enumerate(ticks)}
    return tuple(Item(i.size, rank[i.first], rank[i.last + 1] - 1) for i in items)


class _Search:
    """Depth first over the order of placement; a skyline holds the height of every tick."""

    def __init__(self, items: tuple[Item, ...], limit: int) -> None:
        self.items = items
        self.limit = limit
        self.nodes = 0
        self.bound = live_peak(items)
        self.best = heuristic(items)
        self.height = height(items, self.best)

    def run(self) -> tuple[list[int], int]:
        """Offsets, and the height that none can go below."""
        if self.height > self.bound:
            ticks = max(i.last for i in self.items) + 1
            waiting = [0] * ticks
            for item in self.items:
                for t in range(item.first, item.last + 1):
                    waiting[t] += item.size
            self._place([0] * ticks, waiting, list(range(len(self.items))), [0] * len(self.items))
        return self.best, self.height if self.nodes < self.limit else self.bound

    def _done(self) -> bool:
        return self.height == self.bound or self.nodes >= self.limit

    def _place(
        self,
        skyline: list[int],
        waiting: list[int],
        left: list[int],
        offsets: list[int],
        previous: tuple[int, int] = (0, -1),
    ) -> None:
        self.nodes += 1
        if not left:
            self.height = max(skyline)
            self.best = offsets.copy()
            return
        items = self.items
        rest = [(max(skyline[items[i].first : items[i].last + 1]), i) for i in left]
        # Whoever starts above the end of another that still waits leaves a hole: dominated.
        ceiling = min(offset + items[i].size for offset, i in rest)
        choices = [c for c in rest if c[0] < ceiling and c > previous]
        seen: set[tuple[int, Item]] = set()
        for offset, i in sorted(choices, key=lambda c: (c[0], -items[c[1]].size, c[1])):
            item = items[i]
            if (offset, item) in seen:
                continue
            seen.add((offset, item))
            top = skyline.copy()
            less = waiting.copy()
            for t in range(item.first, item.last + 1):
                top[t] = offset + item.size
                less[t] -= item.size
            # All that is placed later starts at `offset` or above.
            if (
                any(
                    w and (h if h > offset else offset) + w >= self.height
                    for h, w in zip(top, less, strict=True)
                )
                or offset + item.size >= self.height
            ):
                continue
            offsets[i] = offset
            self._place(top, less, [j for j in left if j != i], offsets, (offset, i))
            if self._done():
                return
