# SPDX-License-Identifier: Apache-2.0
"""What operators become: steps on buffers, collected layer by layer, and their C text."""

from tinygen.lowering.context import Lowered, Site
from tinygen.lowering.cores import Cores
from tinygen.lowering.names import Names
from tinygen.lowering.slot import Slot
from tinygen.lowering.step import TICKS, Buffer, Constant, Share, Step, StepArgs
from tinygen.lowering.stream import Stream

__all__ = [
    "TICKS",
    "Buffer",
    "Constant",
    "Cores",
    "Lowered",
    "Names",
    "Share",
    "Site",
    "Slot",
    "Step",
    "StepArgs",
    "Stream",
]
