# SPDX-License-Identifier: Apache-2.0
"""Board descriptions: schema and loading."""

from tinygen.boards.load import all_boards, fault, load_board, make_board, read_board
from tinygen.boards.model import Board
from tinygen.boards.parts import Core, Emulation, Region, Zephyr

__all__ = [
    "Board",
    "Core",
    "Emulation",
    "Region",
    "Zephyr",
    "all_boards",
    "fault",
    "load_board",
    "make_board",
    "read_board",
]
