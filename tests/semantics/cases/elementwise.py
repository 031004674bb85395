# SPDX-License-Identifier: Apache-2.0
"""Functions of one element, and of two broadcast against each other."""

from __future__ import annotations

import numpy as np

from semantics.case import Case, each, live, reals, scalar

POSITIVE = (1 / 32, -128)
SMALL = (1 / 64, -3)
RANKS = (live(3), live(2, 3), live(2, 3, 4), live(1, 2, 3, 4))

PLAIN = ("Relu", "Erf", "Tanh", "Sigmoid", "Mish", "HardSwish", "Softplus", "Softsign", "Exp")
PLAIN = (*PLAIN, "Abs", "Neg", "Sin", "Cos", "Floor", "LeakyRelu", "Elu", "Selu", "Celu")
PLAIN = (*PLAIN, "HardSigmoid", "Gelu", "Swish", "Identity", "Dropout", "IsNaN")
ROOTS = ("Log", "Sqrt", "Reciprocal")
PARAMETERS = {
    "LeakyRelu": [{"alpha": 0.3}, {"alpha": -0.5}],
    "Elu": [{"alpha": 0.4}],
    "Celu": [{"alpha": 0.4}],
    "Selu": [{"alpha": 1.2}, {"gamma": 0.7}],
    "HardSigmoid": [{"alpha": 0.4}, {"beta": 0.1}],
    "Gelu": [{"approximate": "none"}, {"approximate": "tanh"}],
    "Swish": [{"alpha": 0.3}, {"alpha": 1.702}],
}


def unary() -> list[Case]:
    found = [Case(op, (x,), grid=SMALL) for op in PLAIN for x in RANKS]
    found += [Case(op, (x,), grid=POSITIVE) for op in ROOTS for x in RANKS[1:3]]
    for op, attrs in PARAMETERS.items():
        found += each(op, (live(2, 3),), attrs, grid=SMALL)
    return found


def clips() -> list[Case]:
    x = live(2, 3, 4)
    old = [{"min": -1.0}, {"max": 1.5}, {"min": -1.0, "max": 1.5}, {}]
    found = each("Clip", (x,), old, opsets=(7, 10))
    ends = [(None, None), (-1, None), (None, 1.5), (-1, 1.5), (1.0, -1.0), (0, 6)]
    for low, high in ends:
        given = [None if v is None else scalar(v) for v in (low, high)]
        while given and given[-1] is None:
            given.pop()
        found.append(Case("Clip", (x, *given), opsets=(11, 25)))
    found.append(Case("Clip", (x, live(), scalar(1.0)), opsets=(11, 25), says=("min",)))
    found.append(Case("Clip", (x, None, live()), opsets=(11, 25), says=("max",)))
    return found


def binary() -> list[Case]:
    found = []
    shapes = [((2, 3), (2, 3)), ((2, 3, 4), (4,)), ((2, 3, 4), (3, 1)), ((4,), (2, 3, 4))]
    shapes += [((2, 3, 4), (1,)), ((2, 3, 4), ()), ((1, 2, 1, 4), (1, 1, 3, 1)), ((3, 1), (1, 4))]
    for op in ("Add", "Sub", "Mul", "Div", "Pow", "Min", "Max"):
        grid = POSITIVE if op in ("Div", "Pow") else (1 / 16, 5)
        for a, b in shapes:
            low = 0.5 if op in ("Div", "Pow") else -2
            c = reals(*b, low=low)
            found += [
                Case(op, (live(*a), live(*b)), grid=grid),
                Case(op, (live(*a), c), grid=grid),
                Case(op, (c, live(*a)), grid=grid),
            ]
    found += [Case("Pow", (live(2, 3), scalar(p)), grid=POSITIVE) for p in (2, 3, 0.5, -1)]
    found += [Case("Pow", (live(2, 3), np.int64(2)), opsets=(12, 25))]
    found += [Case("Add", (live(3), np.float32([0, 0, 0]))), Case("Mul", (live(3), scalar(-2)))]
    return found


def variadic() -> list[Case]:
    a, b, c = live(2, 3), live(2, 3), reals(2, 3)
    found = []
    for op in ("Max", "Min", "Mean", "Sum"):
        first = 8
        found += [
            Case(op, (a,)),
            Case(op, (a, b)),
            Case(op, (a, c), says=("operand",)),
            Case(op, (a, b, c)),
            Case(op, (c, a, b)),
            Case(op, (a, c, b)),
            Case(op, (a, scalar(0.5), scalar(-0.5)), opsets=(first, 25)),
            Case(op, (live(2, 3, 4), live(3, 1), reals(4)), opsets=(first, 25)),
        ]
    return found


def where() -> list[Case]:
    x, y = live(2, 3), live(2, 3)
    chosen = np.array([[True, False, True], [False, True, True]])
    row = np.array([True, False, True])
    low = np.float32(-1e9)
    return [
        Case("Where", (chosen, x, low)),
        Case("Where", (chosen, low, x)),
        Case("Where", (row, x, low)),
        Case("Where", (row, x, scalar(0.0))),
        Case("Where", (chosen, x, y)),
        Case("Where", (row, x, y)),
        Case("Where", (chosen, x, reals(2, 3))),
        Case("Where", (np.ones((4, 2, 3), bool), x, low)),
        Case("Where", (np.array([[[True]], [[False]]]), x, y)),
        Case("Where", (np.array(True), x, low)),
        Case("Where", (np.array(False), x, y)),
    ]


def casts() -> list[Case]:
    x, kinds = live(2, 3), (1, 6, 7, 9, 10, 16, 3)
    found = each("Cast", (x,), [{"to": t} for t in kinds])
    found += each("Cast", (x,), [{"to": 11}], whole=False)  # QuantizeLinear takes no double
    found += each("Cast", (x,), [{"to": 17}, {"to": 17, "saturate": 0}], opsets=(19, 25))
    return found + each("Cast", (x,), [{"to": 24, "round_mode": "down"}], opsets=(24, 25))


def dropouts() -> list[Case]:
    x = live(2, 3)
    found = each("Dropout", (x,), [{"ratio": 0.3}], opsets=(7, 11))
    found += each("Dropout", (x,), [{"seed": 3}], opsets=(12, 25))
    half = scalar(0.5)
    found += [
        Case("Dropout", (x, half), opsets=(12, 25)),
        Case("Dropout", (x, half, np.array(False)), opsets=(12, 25)),
        Case("Dropout", (x, None, np.array(False)), opsets=(12, 25)),
        Case("Dropout", (x, scalar(0.0), np.array(True)), opsets=(12, 25), says=("training",)),
        Case("Dropout", (x,), outputs=("y", "m"), note="with its mask unread"),
        Case("Dropout", (x,), outputs=("y", "m"), read=1, opsets=(10, 25), says=("mask",)),
    ]
    return found


CASES = [*unary(), *clips(), *binary(), *variadic(), *where(), *casts(), *dropouts()]
