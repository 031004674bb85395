# SPDX-License-Identifier: Apache-2.0
"""Graph + Board + Target -> Plan: schedule, places, costs."""

from tinygen.operators.attention.schedule import KINDS, AttentionSchedule
from tinygen.planner.fusion import fusion_forms, smallest, wanted
from tinygen.planner.options import Options
from tinygen.planner.plan import FusionForm, Plan
from tinygen.planner.planning import make_plan
from tinygen.planner.record import describe

__all__ = [
    "KINDS",
    "AttentionSchedule",
    "FusionForm",
    "Options",
    "Plan",
    "describe",
    "fusion_forms",
    "make_plan",
    "smallest",
    "wanted",
]
