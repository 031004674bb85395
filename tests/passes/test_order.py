# SPDX-License-Identifier: Apache-2.0
"""Rewriting ends: each application of a rule makes the expression lighter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rule_bench import Bench

from fuzz.draw import draw
from graphs import ends
from tinygen.errors import TinygenError
from tinygen.graph import Float, Graph, Node, Value, verify
from tinygen.importer import load
from tinygen.passes import engine, pipeline
from tinygen.passes.engine import Rule, Scope, rewrite, rule
from tinygen.passes.order import Weights

CORPUS = Path(__file__).parents[1] / "corpus" / "models"
DRAWN = 60
RULES: dict[str, Rule] = {
    r.name: r
    for how in (pipeline.QUICK, pipeline.EXACT)
    for r in (*how.spelled, *how.canonical, *how.attention)
}


class Watch:
    """Counts what each rule did, and what it did that was no lighter."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.applied: Counter[str] = Counter()
        self.heavier: list[str] = []
        monkeypatch.setattr(engine, "STRICT", False)
        attempt, lighter = engine._attempt, Scope.lighter
        last = ""

        def attempted(candidate: Rule, scope: Scope, node: Node) -> engine.Result:
            nonlocal last
            last = candidate.name
            return attempt(candidate, scope, node)

        def weighed(scope: Scope, node: Node, outputs: tuple[str, ...]) -> bool:
            good = lighter(scope, node, outputs)
            self.applied[last] += 1
            if not good:
                self.heavier.append(f"{last} on {node.name} ({engine.kind_of(node)})")
            return good

        monkeypatch.setattr(engine, "_attempt", attempted)
        monkeypatch.setattr(Scope, "lighter", weighed)


def imported(paths: Iterator[Path]) -> None:
    for path in paths:
        for how in (pipeline.QUICK, pipeline.EXACT):
            try:
                pipeline._integer(pipeline.integer_inputs(load(path), None), None, how)
            except TinygenError:
                continue  # refused: the rules ran all the same


def stored(folder: Path) -> Iterator[Path]:
    for case in range(DRAWN):
        drawn = draw(7, case)
        path = folder / "drawn.onnx"
        path.write_bytes(drawn.model.SerializeToString())
        yield path


def test_each_rule_lowers_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over random graphs, and over real ones, which try the rules that random ones do not."""
    watch = Watch(monkeypatch)
    imported(stored(tmp_path))
    assert len(watch.applied) > 50, "random graphs try too few of the rules"
    imported(iter(sorted(CORPUS.glob("*.onnx"))[::9]))
    assert not watch.heavier, "\n".join(watch.heavier)
    idle = set(RULES) - set(watch.applied)
    assert len(idle) < len(RULES) // 3, f"never applied: {sorted(idle)}"


@rule("Add")
def the_same_again(scope: Scope, node: Node) -> engine.Result:
    """a + b = a + b, again and again."""
    assert isinstance(node.op, Float)
    return scope.emit(node.op, node.inputs, scope.shape(node.output))


def test_a_rule_that_could_go_on_for_ever_is_not_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "STRICT", False)
    b = Bench(2, 3)
    y = b.node("Add", b.node("Relu", "x", shape=(2, 3)), "x", shape=(2, 3))
    before = b.graph(y)
    after = rewrite(before, (the_same_again,))
    assert [n.inputs for n in after.nodes] == [n.inputs for n in before.nodes]
    monkeypatch.setattr(engine, "STRICT", True)
    with pytest.raises(AssertionError, match="the_same_again"):
        rewrite(before, (the_same_again,))


@pytest.mark.parametrize(
    "kind", ["Add", "Mul", "Relu", "Floor", "Transpose", "Gemm", "Quant", "Move"]
)
def test_weights_grow_with_each_operand(kind: str) -> None:
    """What makes a lighter part of an expression a lighter expression."""
    graph = two_operands(kind)
    heavier = Weights(graph.values)
    lighter = Weights(graph.values)
    node = graph.nodes[-1]
    for place in node.inputs:
        for weights, amount in ((lighter, 5), (heavier, 6)):
            weights.known = {i: 5 for i in node.inputs}
            weights.known[place] = amount
            weights.see(node)
        assert heavier.of(node.output) > lighter.of(node.output)


def two_operands(kind: str) -> Graph:
    values = {n: Value(n, (2, 2)) for n in ("x", "a", "b", "y")}
    sources = (
        Node("a", Float("Relu"), ("x",), ("a",)),
        Node("b", Float("Neg"), ("x",), ("b",)),
    )
    two = kind in ("Add", "Mul", "Gemm")
    attrs = {"Move": {"index": np.arange(4)[::-1]}, "Quant": {"scale": 0.1, "zp": 0}}.get(kind, {})
    last = Node("y", Float(kind, attrs), ("a", "b") if two else ("a",), ("y",))
    return verify(
        Graph(
            "g",
            values,
            (*(sources if two else sources[:1]), last),
            *ends("y"),
        )
    )


@rule("Relu")
def of_another_shape(scope: Scope, node: Node) -> engine.Result:
    """The same elements in one row."""
    return scope.emit(Float("Abs"), node.inputs, (1, 6))


def test_an_answer_of_another_shape_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its readers would be read wrongly."""
    monkeypatch.setattr(engine, "STRICT", False)
    b = Bench(2, 3)
    graph = b.graph(b.node("Relu", "x", shape=(2, 3)))
    assert engine.kind_of(rewrite(graph, (of_another_shape,)).nodes[0]) == "Relu"
    monkeypatch.setattr(engine, "STRICT", True)
    with pytest.raises(AssertionError, match="of_another_shape"):
        rewrite(graph, (of_another_shape,))
