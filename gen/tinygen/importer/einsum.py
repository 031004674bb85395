# SPDX-License-Identifier: Apache-2.0
"""Einsum spelled out: transposes, sums, a matrix product for every operand after the first."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tinygen.importer.expansion import Expansion

ELLIPSIS = "..."
SPARE = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def einsum(e: Expansion) -> None:
    """The node in hand, operand by operand: letters that nobody later reads are summed at once."""
    terms, out = _parsed(e)
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, e.shapes, strict=True):
        e.need(len(term) == len(shape), f"the equation {e.attr('equation', '')}")
        e.need(len(set(term)) == len(term), "a letter twice in one operand (a diagonal)")
        for letter, n in zip(term, shape, strict=True):
            sizes[letter] = max(n, sizes.get(letter, 1))
    names = list(e.node.input)
    for i, term in enumerate(terms):
        others = set(out).union(*(t for j, t in enumerate(terms) if j != i))
        names[i], terms[i] = _summed(e, names[i], term, others)
    name, term = names[0], terms[0]
    for at in range(1, len(terms)):
        last = at == len(terms) - 1
        later = set(out).union(*terms[at + 1 :])
        kept = out if last else "".join(x for x in dict.fromkeys(term + terms[at]) if x in later)
        sides = (name, term), (names[at], terms[at])
        name, term = _product(e, *sides, kept, sizes, e.output(0) if last else ""), kept
    if len(terms) == 1:
        _placed(e, name, term, out, e.output(0))


Operand = tuple[str, str]
"""A value, and the letters of its axes."""


def _product(
    e: Expansion, first: Operand, second: Operand, out: str, sizes: dict[str, int], output: str
) -> str:
    """Two operands as one matrix product: letters that both share and stay, that are summed, that
    one of them has."""
    a, b = first[1], second[1]
    batch = [x for x in out if x in a and x in b]
    inner = [x for x in a if x in b and x not in out]
    left = [x for x in a if x not in b]
    right = [x for x in b if x not in a]

    def matrix(operand: Operand, order: Sequence[str], dims: Sequence[int]) -> str:
        return e.reshaped(_placed(e, *operand, "".join(order)), dims)

    def size(letters: Sequence[str]) -> int:
        return math.prod(sizes[x] for x in letters)

    lead = [size(batch)] if batch else []
    rows, depth, columns = size(left), size(inner), size(right)
    x = matrix(first, [*batch, *left, *inner], [*lead, rows, depth])
    y = matrix(second, [*batch, *inner, *right], [*lead, depth, columns])
    product = e.add("MatMul", x, y)
    made = "".join([*batch, *left, *right])
    full = e.reshaped(product, [sizes[x] for x in made])
    return _placed(e, full, made, out, output)


def _parsed(e: Expansion) -> tuple[list[str], str]:
    """Terms and result without dots: letters of their own stand for broadcast axes."""
    equation = str(e.attr("equation", "")).replace(" ", "")
    inputs, arrow, out = equation.partition("->")
    terms = inputs.split(",")
    e.need(len(terms) == len(e.shapes), f"the equation {equation}")
    most = 0
    for i, term in enumerate(terms):
        if ELLIPSIS in term:
            extra = len(e.shapes[i]) - len(term) + len(ELLIPSIS)
            e.need(0 <= extra <= len(SPARE), f"the equation {equation}")
            most = max(most, extra)
    used = set(equation)
    spare = [x for x in SPARE if x not in used][:most]
    for i, term in enumerate(terms):
        if ELLIPSIS in term:
            extra = len(e.shapes[i]) - len(term) + len(ELLIPSIS)
            terms[i] = term.replace(ELLIPSIS, "".join(spare[most - extra :]))
    if not arrow:
        letters = "".join(terms)
        once = sorted(x for x in set(letters) - set(spare) if letters.count(x) == 1)
        out = "".join([*spare, *once])
    out = out.replace(ELLIPSIS, "".join(spare))
    known = set("".join(terms))
    e.need(set(out) <= known and len(set(out)) == len(out), f"the equation {equation}")
    return terms, out


def _summed(e: Expansion, name: str, term: str, kept: set[str]) -> tuple[str, str]:
    """The operand summed over letters that nobody else has."""
    away = [i for i, x in enumerate(term) if x not in kept]
    if not away:
        return name, term
    if e.opset < 13:
        y = e.add("ReduceSum", name, axes=away, keepdims=0)
    else:
        y = e.add("ReduceSum", name, e.constant(np.array(away, np.int64)), keepdims=0)
    return y, "".join(x for x in term if x in kept)


def _placed(e: Expansion, name: str, term: str, order: str, output: str = "") -> str:
    """The operand with its axes in another order."""
    perm = [term.index(x) for x in order]
    if not perm:
        return e.add("Identity", name, output=output) if output else name
    if perm == list(range(len(perm))) and not output:
        return name
    return e.add("Transpose", name, output=output, perm=perm)
