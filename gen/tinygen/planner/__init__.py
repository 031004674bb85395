# SPDX-License-Identifier: Apache-2.0
"""Graph + Board + Target -> Plan: schedule, places, costs."""

from tinygen.planner.plan import Plan
from tinygen.planner.planning import Options, make_plan
from tinygen.planner.record import describe
from tinygen.planner.schedule import KINDS, AttentionSchedule

__all__ = ["KINDS", "AttentionSchedule", "Options", "Plan", "describe", "make_plan"]
