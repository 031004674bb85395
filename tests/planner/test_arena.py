# SPDX-License-Identifier: Apache-2.0
"""Packing: never an overlap, the lowest there is, and always the same."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygen.boards import Region
from tinygen.errors import TinygenError
from tinygen.lowering import Buffer
from tinygen.lowering.live import Item
from tinygen.planner import arena
from tinygen.planner.exact import first_fit, height, heuristic, pack_items
from tinygen.planner.plan import Placement


@st.composite
def lives(draw: st.DrawFn, most: int, ticks: int = 12, largest: int = 40) -> list[Item]:
    count = draw(st.integers(0, most))
    made = []
    for _ in range(count):
        first = draw(st.integers(0, ticks))
        last = draw(st.integers(first, ticks))
        made.append(Item(draw(st.integers(1, largest)), first, last))
    return made


def buffers(items: list[Item]) -> list[Buffer]:
    return [Buffer(f"b{n}", i.size, i.first, i.last, 7 * n % 5) for n, i in enumerate(items)]


def ram(name: str, size: int, speed: float = 1.0) -> Region:
    return Region(name=name, kind="ram", base=0x20000000, size=size, speed=speed)


def disjoint(items: list[Item], offsets: tuple[int, ...]) -> bool:
    placed = list(zip(items, offsets, strict=True))
    return all(
        a.last < b.first or b.last < a.first or x + a.size <= y or y + b.size <= x
        for (a, x), (b, y) in itertools.combinations(placed, 2)
    )


@settings(deadline=None, max_examples=300)
@given(lives(40, 30))
def test_random_lives_never_overlap(items: list[Item]) -> None:
    packing = pack_items(items, node_limit=200)
    assert disjoint(items, packing.offsets)
    assert packing.bound <= packing.height == height(items, packing.offsets)
    assert packing == pack_items(items, node_limit=200)


@settings(deadline=None, max_examples=200)
@given(lives(6, 6, 9))
def test_lowest_of_all_orders(items: list[Item]) -> None:
    """Some first-fit order is optimal, so trying all of them gives the truth."""
    orders = itertools.permutations(range(len(items)))
    best = min(height(items, first_fit(items, order)) for order in orders)
    packing = pack_items(items)
    assert packing.proven
    assert packing.height == best


def test_search_beats_every_simple_order() -> None:
    items = [Item(*i) for i in ((6, 3, 6), (4, 6, 8), (2, 1, 3), (9, 8, 8), (7, 4, 4))]
    packing = pack_items(items)
    assert packing.height == packing.bound < height(items, heuristic(items))
    assert disjoint(items, packing.offsets)


def test_thirty_equal_blocks_are_solved_once() -> None:
    """Deep networks: a residual through everything, the same block again and again."""
    block = [Item(64, 0, 3), Item(192, 1, 2), Item(100, 2, 3), Item(256, 4, 5), Item(64, 5, 6)]
    items = [Item(64, 0, 300)] + [
        Item(i.size, i.first + 10 * n, i.last + 10 * n) for n in range(30) for i in block
    ]
    packing = pack_items(items)
    assert packing.proven
    assert packing.height == packing.bound


@settings(deadline=None, max_examples=150)
@given(lives(14, 10, 400), st.integers(0, 150), st.integers(0, 150))
def test_regions_hold_what_is_in_them(items: list[Item], small: int, middle: int) -> None:
    regions = [ram("slow", 1 << 16, 3.0), ram("fast", 8 * small + 1), ram("mid", 8 * middle + 3, 2)]
    packed = arena.pack(buffers(items), regions)
    arena.check_packing(packed.placements, regions)
    assert len(packed.placements) == len(items)
    assert packed == arena.pack(buffers(items), regions)


def test_the_hottest_bytes_get_the_fastest_memory() -> None:
    hot, cold = Buffer("hot", 512, 0, 5, 50_000), Buffer("cold", 1024, 0, 5, 1_000)
    regions = [ram("axi", 4096, 2.0), ram("dtcm", 1024)]
    where = {p.buffer.name: p.region for p in arena.pack([cold, hot], regions).placements}
    assert where == {"hot": "dtcm", "cold": "axi"}


def test_everything_in_the_fastest_where_it_fits() -> None:
    both = [Buffer("a", 512, 0, 5, 1), Buffer("b", 512, 0, 5, 9)]
    packed = arena.pack(both, [ram("axi", 4096, 2.0), ram("dtcm", 1024)])
    assert {p.region for p in packed.placements} == {"dtcm"}


def test_too_much_is_refused() -> None:
    with pytest.raises(ValueError, match="fits"):
        arena.pack([Buffer("a", 600, 0, 1), Buffer("b", 600, 1, 2)], [ram("ram", 1024)])


@pytest.mark.parametrize(
    ("offset", "region", "fault"),
    [(4, "ram", "misplaced"), (-8, "ram", "misplaced"), (1000, "ram", "misplaced"),
     (8, "rom", "misplaced"), (56, "ram", "overlap")],
)  # fmt: skip
def test_the_check_sees_faults(offset: int, region: str, fault: str) -> None:
    fixed = Placement(Buffer("a", 60, 0, 3), "ram", 0)
    moved = Placement(Buffer("b", 60, 3, 4), region, offset)
    with pytest.raises(TinygenError, match=fault):
        arena.check_packing([fixed, moved], [ram("ram", 1024)])
