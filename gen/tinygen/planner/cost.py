# SPDX-License-Identifier: Apache-2.0
"""Instructions and cycles of a step, predicted: rounds of its kernels' loops times fitted costs.

`features` counts the rounds from shape and schedule alone (tinygen.planner.loops);
costs/<target>.json holds what one round costs on a core, fitted by benchmarks/fit_costs.py:
instructions to exact counts from QEMU, cycles to a static model of the pipeline with memory that
never waits. What memories add is tinygen.planner.stalls'.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tinygen.graph import ops
from tinygen.planner import plan as p
from tinygen.planner.loops import Counts, Loops, compact_loops, get_loops, scaled
from tinygen.planner.schedule import AttentionSchedule

FOLDER = Path(__file__).parent / "costs"


@dataclass(frozen=True)
class Cost:
    """Predicted, an inference. cycles: with memory that never waits."""

    instructions: int
    cycles: int


@dataclass(frozen=True)
class CostModel:
    """instructions, cycles: of one round of each loop.  error: of both, by operator, the largest
    relative one on layers held back from the fit.  cycle_model: its name."""

    target: str
    cpu: str
    instructions: Mapping[str, float]
    cycles: Mapping[str, float]
    error: Mapping[str, Mapping[str, float]]
    cycle_model: str

    def step(self, step: p.Step) -> Cost | None:
        """None for a general operator that was not measured on this core."""
        if isinstance(step.args, p.OperatorStep) and step.op not in self.error["instructions"]:
            return None
        return self.evaluate(features(step, self.target))

    def attention(self, shape: AttentionShape, how: AttentionSchedule) -> Cost:
        return self.evaluate(attention_features(shape, how, self.target))

    def products(self, rows: int, block: int, *shapes: ProductShape) -> Cost:
        """Linear layers in a row, so many rows at a time."""
        return self.evaluate(_blocks(_loops(self.target), rows, block, shapes))

    def evaluate(self, counts: Mapping[str, float]) -> Cost:
        return Cost(total(self.instructions, counts), total(self.cycles, counts))


def total(costs: Mapping[str, float], counts: Mapping[str, float]) -> int:
    return round(sum(costs.get(name, 0.0) * n for name, n in counts.items()))


@cache
def load_cost_model(target: str, cpu: str) -> CostModel | None:
    """The fit of that core, else of the simplest other Cortex with the same target, else None."""
    path = FOLDER / f"{target}.json"
    if not path.exists() or not cpu.startswith("cortex"):
        return None
    fits = json.loads(path.read_text(encoding="utf-8"))
    name = cpu if cpu in fits else min(fits)
    fit = fits[name]
    named = fit["cycle_model"] + ("" if name == cpu else f", fitted on {name}")
    return CostModel(target, cpu, fit["instructions"], fit["cycles"], fit["error"], named)


def features(step: p.Step, target: str) -> Counts:
    """What the kernels of a step do, counted."""
    loops = _loops(target)
    match step.args:
        case p.LinearStep(linear=a, rows=rows):
            return loops.linear(rows, *_shape(a))
        case p.ConvStep() as a:
            return loops.conv(a)
        case p.FeedForwardStep(up=up, down=down, rows=rows, schedule=how):
            return _blocks(loops, rows, how.row_block, (_shape(up), _shape(down)))
        case p.AttentionStep() as a:
            return attention_features(AttentionShape.of_step(a), a.schedule, target)
        case p.DotProductStep() as a:
            return loops.dot_product(a)
        case p.NormStep() as a:
            count = loops.norm_whole if a.whole else loops.norm_steps if a.step else loops.norm
            return count(a.rows, len(a.gamma))
        case p.AddStep() as a:
            return loops.add_wide(a.count) if a.wide else loops.elements("add", a.count)
        case p.LutStep() as a:
            return loops.elements("lut", a.count)
        case p.MeanStep() as a:
            return loops.mean(a.rows, a.features)
        case p.MaxStep() as a:
            return loops.maximum(a)
        case p.EmbedStep(table=table, rows=rows):
            return loops.embed(rows, table.shape[1])
        case p.OperatorStep(op=op):
            return Counter({f"general.{name}": n for name, n in op.loops().items()})
        case p.CopyStep() as a:
            return loops.copy(tuple(n for n in (a.rows.size, a.copy_bytes) if n))


ProductShape = tuple[int, int, bool, int]
"""N, K, whether a table follows, and the form of the packed weights."""


def _shape(a: p.LinearArgs) -> ProductShape:
    return a.n, a.k, a.table is not None, a.packed.form


def _blocks(loops: Loops, rows: int, block: int, products: tuple[ProductShape, ...]) -> Counts:
    """Rows in blocks through several products."""
    counts: Counts = Counter()
    whole, rest = divmod(rows, block)
    for size, times in ((block, whole), (rest, 1)):
        if size and times:
            counts["block"] += times
            for shape in products:
                counts += scaled(loops.linear(size, *shape), times)
    return counts


def _loops(target: str) -> Loops:
    loops = get_loops(target)
    assert loops is not None, target
    return loops


@dataclass(frozen=True)
class AttentionShape:
    """e, n: features of input and output.  keys, values: whether they are projections; else x
    itself serves all heads."""

    tokens: int
    e: int
    dim: int
    value_dim: int
    heads: int
    n: int
    keys: bool = True
    values: bool = True
    forms: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Of the packed weights of q, k, v and the output."""
    levels: bool = False

    @classmethod
    def of_step(cls, a: p.AttentionStep) -> AttentionShape:
        sizes = a.tokens, a.q.k, a.dim, a.value_dim, a.heads, a.o.n
        forms = a.q.packed.form, a.k.packed.form, a.v.packed.form, a.o.packed.form
        return cls(*sizes, a.k.n > 0, a.v.n > 0, forms, a.levels > 0)

    @classmethod
    def of(
        cls, op: ops.Attention, tokens: int, forms: tuple[int, int, int, int] = (0, 0, 0, 0)
    ) -> AttentionShape:
        sizes = tokens, op.wq.shape[1], op.dim, op.value_dim, op.heads, len(op.wo)
        return cls(*sizes, not op.keys_are_x, not op.values_are_x, forms, op.levels > 0)


def attention_features(shape: AttentionShape, how: AttentionSchedule, target: str) -> Counts:
    """As the emitter arranges the calls of each schedule."""
    outer = _loops(target)
    inner = compact_loops() if how.compact else outer
    s = shape
    streaming = how.kind == "head-streaming"
    heads, rounds = (1, s.heads) if streaming else (s.heads, 1)
    counts: Counts = Counter({"attention.call": 1})
    q_form, k_form, v_form, o_form = s.forms
    for which, projected, dim, form in (
        ("k", s.keys, s.dim, k_form),
        ("v", s.values, s.value_dim, v_form),
    ):
        if projected:
            counts += scaled(inner.project(which, s.tokens, s.e, dim, heads, form), rounds)
        else:
            counts += inner.load(which, s.tokens, dim)
    blocks, rest = divmod(s.tokens, how.row_block)
    for rows, times in ((how.row_block, blocks), (rest, 1)):
        if not rows or not times:
            continue
        counts += scaled(inner.project("q", rows, s.e, s.dim, heads, q_form), times * rounds)
        counts += scaled(inner.attend(rows, s.tokens, s.dim, s.value_dim), times * s.heads)
        if s.levels:
            counts += scaled(inner.levels(rows, s.tokens), times * s.heads)
        if how.accumulate:
            counts += scaled(outer.accumulate(rows, s.n, s.value_dim, True), times)
            counts += scaled(outer.accumulate(rows, s.n, s.value_dim, False), times * (rounds - 1))
        elif not streaming:
            counts += scaled(outer.linear(rows, s.n, s.heads * s.value_dim, False, o_form), times)
        counts["block"] += times * rounds
    if how.accumulate:
        counts += outer.requantise(s.tokens, s.n)
    elif streaming:
        counts += outer.linear(s.tokens, s.n, s.heads * s.value_dim, False, o_form)
    return counts
