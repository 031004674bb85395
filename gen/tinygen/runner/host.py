# SPDX-License-Identifier: Apache-2.0
"""Run a project for board host: its program on this computer."""

from __future__ import annotations

from tinygen.boards import Board
from tinygen.runner.build import Built
from tinygen.runner.console import Console
from tinygen.runner.process import run_process


def run_host(
    built: Built, board: Board, console: Console, max_samples: int | None, timeout: float
) -> int:
    arguments = [] if max_samples is None else [str(max_samples)]
    return run_process([str(built.elf.resolve()), *arguments], console, timeout, built.elf.name)
