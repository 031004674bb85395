# SPDX-License-Identifier: Apache-2.0
"""plan.json: all that was decided, for `tinygen report`."""

from __future__ import annotations

import json
from typing import Any

from tinygen import __version__
from tinygen.emitter import Samples
from tinygen.numeric import I8, I32
from tinygen.planner import Plan, describe
from tinygen.planner.ends import End
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
    if not (samples.labels >= 0).any():
        return None
    if len(plan.outputs) == 1:
        return _share(samples.outputs, samples.labels, plan.outputs[0])
    found, at = {}, 0
    for i, end in enumerate(plan.outputs):
        outputs = samples.outputs[:, at : at + end.size]
        found[end.name] = _share(outputs, samples.labels[:, i], end)
        at += end.size
    total = {k: sum(s[k] for s in found.values()) for k in ("labelled", "correct")}
    return {**total, "outputs": found}


def _share(outputs: I8, labels: I32, end: End) -> dict[str, int]:
    labelled = labels >= 0
    above = threshold_step(end.quant, end.threshold)
    hits = answers(outputs, above)[labelled] == labels[labelled]
    return {"labelled": int(labelled.sum()), "correct": int(hits.sum())}
