# SPDX-License-Identifier: Apache-2.0
"""Cycles of a step on a cluster, predicted: what the busiest core does, times fitted coefficients.

targets/xpulpv2/cluster_costs.json holds the coefficients, cluster_costs_plain.json those of
operators in plain C that few models have, fitted by benchmarks/fit_cluster.py to cycles from GVSoC
(pulp-open, eight cores); GAP9 takes the same ones. Everything of a layer is in them:
barriers, transfers, and the instruction cache that the layer before has left.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from tinygen.lowering import Step
from tinygen.planner import cost
from tinygen.targets import Counts
from tinygen.targets.measured import measured


@cache
def coefficients(target: str) -> Mapping[str, float] | None:
    files = [measured(target, what) for what in ("cluster_costs", "cluster_costs_plain")]
    if not files[0].exists():
        return None
    found: dict[str, float] = {}
    for file in files:
        found |= json.loads(file.read_text(encoding="utf-8"))["ri5cy"]["coefficients"]
    return found


def predicted(step: Step, target: str, cores: int) -> Step:
    """The step with its cycles; a cluster's instructions are not counted."""
    fit, counts = coefficients(target), features(step, cores)
    if fit is None or counts is None:
        return step
    return replace(step, cycles=cost.total(fit, counts))


def features(step: Step, cores: int) -> Counts | None:
    """What the busiest core does, counted; None: not measured."""
    return step.args.busiest(cores, step.tiles)
