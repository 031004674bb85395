# SPDX-License-Identifier: Apache-2.0
"""Graph + Board + Target -> Plan: schedule, places, costs."""

from tinygen.planner.plan import Plan
from tinygen.planner.planning import make_plan

__all__ = ["Plan", "make_plan"]
