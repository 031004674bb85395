# SPDX-License-Identifier: Apache-2.0
"""plan.json: all that was decided, for `tinygen report`."""

from __future__ import annotations

import json
from typing import Any

from tinygen import __version__
from tinygen.emitter import Samples
from tinygen.planner import Plan, describe
from tinygen.reference.decision import answers, threshold_step

PLAN = "plan.json"


def plan_record(plan: Plan, samples: Samples | None, template: str) -> str:
    """The text of plan.json."""
    record = {
        "generator": __version__,
        "template": template,
        **describe(plan),
        "accuracy": None if samples is None else _accuracy(samples, plan),
    }
    return json.dumps(record, indent=1) + "\n"


def _accuracy(samples: Samples, plan: Plan) -> dict[str, Any] | None:
    """Of the promised outputs on the stored samples, where they are labelled."""
    labelled = samples.labels >= 0
    if not labelled.any():
        return None
    above = threshold_step(plan.output_quant, plan.threshold)
    hits = answers(samples.outputs, above)[labelled] == samples.labels[labelled]
    return {"labelled": int(labelled.sum()), "correct": int(hits.sum())}
