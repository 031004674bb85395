# SPDX-License-Identifier: Apache-2.0
"""Which machine a board is: the only place that asks how many cores there are."""

from __future__ import annotations

from tinygen.boards import Board
from tinygen.planner.cluster import Cluster
from tinygen.planner.machine import Machine
from tinygen.planner.one_core import OneCore


def machine_of(board: Board) -> Machine:
    return Cluster(board) if board.core.count > 1 else OneCore(board)
