# SPDX-License-Identifier: Apache-2.0
"""Movement rules: whatever the spelling, one Move; and what must stay apart."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_bench import Bench, apply, kinds

from tinygen.graph import Float, Node, Value
from tinygen.passes import moves
from tinygen.passes.engine import rewrite


@st.composite
def chains(draw: st.DrawFn) -> tuple[Bench, str]:
    """A chain of up to six movement operators on a [2, 3, 4] tensor."""
    b, name = Bench(2, 3, 4), "x"
    for _ in range(draw(st.integers(1, 6))):
        shape = b.values[name].shape
        kind = draw(st.sampled_from(["Reshape", "Transpose", "Slice", "Gather", "Expand"]))
        if kind == "Transpose":
            perm = draw(st.permutations(range(len(shape))))
            name = b.node(kind, name, shape=tuple(shape[p] for p in perm), perm=list(perm))
        elif kind == "Reshape":
            size = int(np.prod(shape))
            first = draw(st.sampled_from([d for d in range(1, size + 1) if size % d == 0]))
            name = b.node(kind, name, shape=(first, size // first))
        elif kind == "Slice":
            axis = draw(st.integers(0, len(shape) - 1))
            start = draw(st.integers(0, shape[axis] - 1))
            end = draw(st.integers(start + 1, shape[axis]))
            where = [b.const([v], np.int64) for v in (start, end, axis)]
            out = (*shape[:axis], end - start, *shape[axis + 1 :])
            name = b.node(kind, name, *where, shape=out)
        elif kind == "Gather":
            axis = draw(st.integers(0, len(shape) - 1))
            which = draw(st.lists(st.integers(0, shape[axis] - 1), min_size=1, max_size=3))
            out = (*shape[:axis], len(which), *shape[axis + 1 :])
            name = b.node(kind, name, b.const(which, np.int64), shape=out, axis=axis)
        else:
            name = b.node(kind, name, shape=(2, *shape))
    return b, name


@settings(max_examples=150, deadline=None)
@given(chains())
def test_any_chain_is_at_most_one_move(chain: tuple[Bench, str]) -> None:
    b, name = chain
    assert len(kinds(apply(b.graph(name), *moves.MOVES))) <= 1


def test_a_transpose_of_unit_axes_is_a_reshape() -> None:
    b = Bench(1, 3, 4)
    y = b.node("Transpose", "x", shape=(3, 1, 4), perm=[1, 0, 2])
    (node,) = apply(b.graph(y), *moves.MOVES).nodes
    assert isinstance(node.op, Float) and node.op.attrs["index"] is None


def test_each_part_of_a_split_is_its_own() -> None:
    b = Bench(2, 5)
    first, second = "first", "second"
    b.values |= {first: Value(first, (2, 2)), second: Value(second, (2, 3))}
    b.nodes.append(Node("split", Float("Split", {"axis": 1}), ("x",), (first, second)))
    for part, want in ((first, [0, 1, 5, 6]), (second, [2, 3, 4, 7, 8, 9])):
        (node,) = rewrite(b.graph(part), moves.MOVES).nodes
        assert isinstance(node.op, Float) and node.op.attrs["index"].tolist() == want


def test_two_transposes_that_undo_each_other_vanish() -> None:
    b = Bench(2, 3)
    t = b.node("Transpose", "x", shape=(3, 2), perm=[1, 0])
    u = b.node("Transpose", t, shape=(2, 3), perm=[1, 0])
    y = b.node("Relu", u, shape=(2, 3))
    assert kinds(apply(b.graph(y), *moves.MOVES)) == ["Relu"]


def test_gather_by_an_activation_stays() -> None:
    b = Bench(3, 4)
    y = b.node("Gather", b.const(np.ones((3, 4))), "x", shape=(3, 4, 4), axis=0)
    assert kinds(moves_only(b, y)) == ["Gather"]


def test_cast_to_float_goes_and_to_integer_stays() -> None:
    b = Bench(3)
    y = b.node("Relu", b.node("Cast", "x", shape=(3,), to=1), shape=(3,))
    assert kinds(apply(b.graph(y), *moves.MOVES)) == ["Relu"]
    b = Bench(3)
    assert kinds(moves_only(b, b.node("Cast", "x", shape=(3,), to=7))) == ["Cast"]


def test_functions_of_one_element_go_before_moves() -> None:
    b = Bench(2, 3)
    t = b.node("Transpose", "x", shape=(3, 2), perm=[1, 0])
    y = b.node("Clip", t, b.const(0.0), b.const(1.0), shape=(3, 2))
    assert kinds(apply(b.graph(y), *moves.MOVES)) == ["Clip", "Move"]


def test_a_constant_moves_back_through_a_bijection_only() -> None:
    b = Bench(2, 3)
    t = b.node("Transpose", "x", shape=(3, 2), perm=[1, 0])
    y = b.node("Add", t, b.const(np.arange(6).reshape(3, 2)), shape=(3, 2))
    assert kinds(apply(b.graph(y), *moves.MOVES)) == ["Add", "Move"]
    b = Bench(2, 3)
    row = b.node("Gather", "x", b.const([0, 0], np.int64), shape=(2, 3), axis=0)
    y = b.node("Add", row, b.const(np.arange(6).reshape(2, 3)), shape=(2, 3))
    assert kinds(apply(b.graph(y), *moves.MOVES)) == ["Move", "Add"]


def test_two_operands_share_their_move_or_keep_them() -> None:
    for perms, expected in (((0, 0), ["Relu", "Add", "Move"]), ((0, 1), None)):
        b = Bench(2, 2)
        other = b.node("Relu", "x", shape=(2, 2))
        order = ([1, 0], [0, 1])
        a = b.node("Transpose", "x", shape=(2, 2), perm=order[perms[0]])
        c = b.node("Transpose", other, shape=(2, 2), perm=order[perms[1]])
        y = b.node("Add", a, c, shape=(2, 2))
        after = kinds(apply(b.graph(y), *moves.MOVES))
        assert after == (expected or ["Relu", "Move", "Add"])


def moves_only(b: Bench, output: str):  # type: ignore[no-untyped-def]
    from tinygen.passes.engine import rewrite

    return rewrite(b.graph(output), moves.MOVES)


def test_a_sum_stays_in_rows() -> None:
    """Of two equal views of something of four axes: the other rows would be no better."""
    b = Bench(1, 3, 6, 5)
    a = b.node("Reshape", "x", shape=(90, 1))
    c = b.node("Reshape", b.node("Relu", "x", shape=(1, 3, 6, 5)), shape=(90, 1))
    y = b.node("Add", a, c, shape=(90, 1))
    after = apply(b.graph(y), *moves.MOVES)
    assert [n.op.kind for n in after.nodes if isinstance(n.op, Float)][-1] == "Add"


def test_a_floor_passes_a_move_that_leaves_some_out() -> None:
    b = Bench(2, 6)
    part = b.node("Gather", "x", b.const([0], np.int64), shape=(1, 6), axis=0)
    graph = b.graph(b.node("Floor", part, shape=(1, 6)))
    assert kinds(rewrite(graph, moves.MOVES)) == ["Floor", "Move"]
