# SPDX-License-Identifier: Apache-2.0
"""Operators that only place elements elsewhere."""

from __future__ import annotations

import numpy as np

from semantics.case import Case, Ids, each, ints, live, reals

X = live(2, 3, 4)


def shapes() -> list[Case]:
    found = [Case("Flatten", (X,), {} if a is None else {"axis": a}) for a in (None, 0, 1, 2, 3)]
    found += [Case("Flatten", (X,), {"axis": a}, opsets=(11, 25)) for a in (-1, -2, -3)]
    for target in ((4, 6), (-1, 4), (0, -1), (0, 0, 2, 2), (24,), (1, 2, 1, 12)):
        found.append(Case("Reshape", (X, ints(*target))))
    found.append(Case("Reshape", (X, ints(2, -1)), {"allowzero": 1}, opsets=(14, 25)))
    found.append(Case("Reshape", (live(3), ints(3, 1))))
    wide = live(1, 3, 1, 4)
    for axes in ((0,), (2,), (0, 2), (-2,), (-4, 2)):
        first = 11 if min(axes) < 0 else 7
        found.append(Case("Squeeze", (wide,), {"axes": list(axes)}, opsets=(first, 12)))
        found.append(Case("Squeeze", (wide, ints(*axes)), opsets=(13, 25)))
    found.append(Case("Squeeze", (wide,)))
    for axes in ((0,), (1,), (3,), (0, 4), (-1,), (-1, 0)):
        first = 11 if min(axes) < 0 else 7
        found.append(Case("Unsqueeze", (X,), {"axes": list(axes)}, opsets=(first, 12)))
        found.append(Case("Unsqueeze", (X, ints(*axes)), opsets=(13, 25)))
    return found


def transposes() -> list[Case]:
    found = [Case("Transpose", (x,)) for x in (live(3), live(2, 3), X, live(1, 2, 3, 4))]
    perms = [(1, 0, 2), (0, 2, 1), (2, 0, 1), (0, 1, 2)]
    return found + each("Transpose", (X,), [{"perm": list(p)} for p in perms])


def splits() -> list[Case]:
    found = []
    two, three, four = ("a", "b"), ("a", "b", "c"), ("a", "b", "c", "d")
    for read in (0, 1):
        found.append(Case("Split", (X,), outputs=two, read=read, opsets=(7, 17)))
    for axis, names in ((1, three), (2, four), (-1, four), (-3, two)):
        first = 11 if axis < 0 else 7
        how = {"outputs": names, "read": 1}
        found.append(Case("Split", (X,), {"axis": axis}, opsets=(first, 17), **how))
        attrs = {"axis": axis, "num_outputs": len(names)}
        found.append(Case("Split", (X,), attrs, opsets=(18, 25), **how))
    for read in (0, 1):
        how = {"outputs": two, "read": read}
        old = {"axis": 2, "split": [1, 3]}
        found.append(Case("Split", (X,), old, opsets=(7, 12), **how))
        found.append(Case("Split", (X, ints(1, 3)), {"axis": 2}, opsets=(13, 25), **how))
    uneven = {"axis": 1, "num_outputs": 2}
    for read in (0, 1):
        how = {"outputs": two, "read": read, "evaluator": True}
        found.append(Case("Split", (X,), uneven, opsets=(18, 25), **how))
    return found


def split_without_name() -> list[Case]:
    how = {"outputs": ("", "b", "c"), "read": 1, "note": "first without a name", "evaluator": True}
    return [
        Case("Split", (X,), {"axis": 1}, opsets=(7, 17), **how),
        Case("Split", (X,), {"axis": 1, "num_outputs": 3}, opsets=(18, 25), **how),
    ]


def slices() -> list[Case]:
    x = live(2, 5, 4)
    far = np.iinfo(np.int64).max
    found = []
    for starts, ends, axes in (
        ((1,), (3,), (1,)),
        ((1,), (-1,), (1,)),
        ((-3,), (far,), (1,)),
        ((0, 1), (2, 3), (1, 2)),
        ((-100,), (2,), (1,)),
        ((1,), (100,), (2,)),
    ):
        attrs = {"starts": list(starts), "ends": list(ends), "axes": list(axes)}
        found.append(Case("Slice", (x,), attrs, opsets=(7, 9)))
        found.append(Case("Slice", (x, ints(*starts), ints(*ends), ints(*axes)), opsets=(10, 25)))
    found.append(Case("Slice", (x,), {"starts": [0, 1], "ends": [1, 4]}, opsets=(7, 9)))
    found.append(Case("Slice", (x, ints(0, 1), ints(1, 4)), opsets=(10, 25)))
    found.append(Case("Slice", (live(6), ints(1), ints(4)), opsets=(10, 25)))
    for start, end, axis, step in (
        (0, 5, 1, 2),
        (1, far, 1, 3),
        (-1, -far, 1, -1),
        (4, 0, 1, -2),
        (100, -100, 1, -1),
        (-1, -6, -2, -1),
        (3, -100, 2, -2),
        (-4, 100, -1, 3),
        (2, -100, 1, -1),
    ):
        parts = ints(start), ints(end), ints(axis), ints(step)
        found.append(Case("Slice", (x, *parts), opsets=(10, 25)))
    found.append(Case("Slice", (x, ints(0, 0), ints(5, 4), None, ints(2, 1)), opsets=(10, 25)))
    small = [np.array([v], np.int32) for v in (1, 4, 1)]
    found.append(Case("Slice", (x, *small), opsets=(10, 25)))
    return found


def gathers() -> list[Case]:
    found = []
    for axis in (None, 0, 1, 2, -1, -2):
        attrs = {} if axis is None else {"axis": axis}
        found.append(Case("Gather", (X, ints(1, 0)), attrs))
        found.append(Case("Gather", (X, np.asarray(1, np.int64)), attrs))
    found += [
        Case("Gather", (X, ints(-1, 0, -2)), {"axis": 1}, opsets=(11, 25)),
        Case("Gather", (X, np.array([[0, 1], [2, 0]], np.int64)), {"axis": 1}),
        Case("Gather", (X, np.array([0, 1], np.int32)), {"axis": 2}),
        Case("Gather", (live(5), ints(3, 1))),
        Case("Gather", (reals(6, 4), Ids((1, 3)))),
        Case("Gather", (reals(6, 4), Ids((1, 3))), {"axis": 0}),
        Case("Gather", (reals(6, 4), Ids((1, 3))), {"axis": -2}),
        Case("Gather", (reals(6, 4), Ids((1, 3))), {"axis": 1}),
        Case("Gather", (reals(6, 4), Ids((1, 3))), {"axis": -1}),
        Case("Gather", (reals(6), Ids((1, 3)))),
        Case("Gather", (reals(6, 2, 2), Ids((1, 3)))),
    ]
    return found


def joins() -> list[Case]:
    found = []
    for axis in (0, 1, 2, -1, -2, -3):
        found.append(Case("Concat", (X, X), {"axis": axis}, opsets=(11 if axis < 0 else 7, 25)))
        found.append(Case("Concat", (reals(2, 3, 4), X), {"axis": axis}, opsets=(11, 25)))
        found.append(Case("Concat", (X, reals(2, 3, 4)), {"axis": axis}, opsets=(11, 25)))
    found += [
        Case("Concat", (X,), {"axis": 1}),
        Case("Concat", (X, X, live(2, 3, 1)), {"axis": 2}),
        Case("Concat", (live(2), live(3)), {"axis": 0}),
        Case("Concat", (reals(1, 4), live(3, 4), reals(2, 4)), {"axis": 0}),
    ]
    return found


def repeats() -> list[Case]:
    return [
        Case("Expand", (live(3, 1), ints(2, 3, 4))),
        Case("Expand", (live(3, 1), ints(1, 4))),
        Case("Expand", (live(3, 1), ints(3, 1))),
        Case("Expand", (live(2, 3), ints(1))),
        Case("Tile", (live(2, 3), ints(2, 1))),
        Case("Pad", (live(2, 3),), {"pads": [0, 1, 0, 0]}, opsets=(7, 10)),
        Case("Pad", (live(2, 3), ints(0, 1, 0, 0)), opsets=(11, 25)),
        Case("Resize", (live(1, 1, 2, 2), None, reals(4, low=2, high=2)), opsets=(11, 25)),
        Case("OneHot", (ints(0, 1), np.int64(3), live(2)), opsets=(9, 25)),
    ]


CASES = [
    *shapes(),
    *transposes(),
    *splits(),
    *split_without_name(),
    *slices(),
    *gathers(),
    *joins(),
    *repeats(),
]
