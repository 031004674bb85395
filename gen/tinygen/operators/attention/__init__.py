# SPDX-License-Identifier: Apache-2.0
"""Multi-head self-attention, one module an idea:

parameters  its numbers            reference  what it computes       schedule  the ways to run it
memory      buffers of a schedule  layer      packed, with places    calls     the C of one core
cost        loops of one core      cluster    ways to share it       shared    the C and costs there
step        all that of a step     attention  the operator
"""

from tinygen.operators.attention.attention import Attention
from tinygen.operators.attention.parameters import FUSIONS, Fusion
from tinygen.operators.attention.schedule import KINDS, AttentionSchedule
from tinygen.operators.attention.step import AttentionStep

__all__ = ["FUSIONS", "KINDS", "Attention", "AttentionSchedule", "AttentionStep", "Fusion"]
