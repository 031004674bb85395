# SPDX-License-Identifier: Apache-2.0
"""Instructions and cycles of a step, predicted: rounds of its kernels' loops times fitted costs.

Operators count the rounds from shape and schedule alone (`StepArgs.loops`);
targets/<target>/costs.json holds what one round costs on a core, fitted by benchmarks/fit_costs.py:
instructions to exact counts from QEMU, cycles to a static model of the pipeline with memory that
never waits. What memories add is tinygen.planner.stalls'.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from tinygen.lowering import Step
from tinygen.operators.attention.cost import AttentionShape, attention_loops
from tinygen.operators.attention.schedule import AttentionSchedule
from tinygen.operators.feed_forward import ProductShape, block_loops
from tinygen.targets import Counts, Loops, get_target
from tinygen.targets.measured import measured


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

    def step(self, step: Step) -> Cost | None:
        """None for an operator that was not measured on this core."""
        if step.args.fitted and step.args.fitted not in self.error["instructions"]:
            return None
        return self.evaluate(features(step, self.target))

    def attention(self, shape: AttentionShape, how: AttentionSchedule) -> Cost:
        return self.evaluate(attention_loops(shape, how, _loops(self.target)))

    def products(self, rows: int, block: int, *shapes: ProductShape) -> Cost:
        """Linear layers in a row, so many rows at a time."""
        return self.evaluate(block_loops(_loops(self.target), rows, block, shapes))

    def evaluate(self, counts: Mapping[str, float]) -> Cost:
        return Cost(total(self.instructions, counts), total(self.cycles, counts))


def total(costs: Mapping[str, float], counts: Mapping[str, float]) -> int:
    return round(sum(costs.get(name, 0.0) * n for name, n in counts.items()))


@cache
def load_cost_model(target: str, cpu: str) -> CostModel | None:
    """The fit of that core, else of the simplest other Cortex with the same target, else None."""
    path = measured(target, "costs")
    if not path.exists() or not cpu.startswith("cortex"):
        return None
    fits = json.loads(path.read_text(encoding="utf-8"))
    name = cpu if cpu in fits else min(fits)
    fit = fits[name]
    named = fit["cycle_model"] + ("" if name == cpu else f", fitted on {name}")
    return CostModel(target, cpu, fit["instructions"], fit["cycles"], fit["error"], named)


def features(step: Step, target: str) -> Counts:
    """What the kernels of a step do, counted."""
    return step.args.loops(_loops(target))


def _loops(target: str) -> Loops:
    loops = get_target(target).loops
    assert loops is not None, target
    return loops
