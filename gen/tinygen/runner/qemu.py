# SPDX-License-Identifier: Apache-2.0
"""Run firmware in QEMU: semihosting console, one instruction = 256 ns of virtual time."""

from __future__ import annotations

from tinygen.boards import Board
from tinygen.errors import TinygenError
from tinygen.runner.build import Built
from tinygen.runner.console import Console
from tinygen.runner.process import run_process
from tinygen.runner.toolchain import find_qemu


def run_qemu(
    built: Built, board: Board, console: Console, max_samples: int | None, timeout: float
) -> int:
    program = find_qemu()
    if program is None:
        raise TinygenError(
            "no qemu-system-arm found: apt-get install qemu-system-arm, or run with --on unicorn"
        )
    if board.emulation.qemu_machine is None:
        raise TinygenError(f"QEMU does not emulate {board.name}: run with --on unicorn or host")
    arguments = "" if max_samples is None else f",arg=firmware,arg={max_samples}"
    command = [
        program,
        *("-machine", board.emulation.qemu_machine, "-icount", "shift=8"),
        *("-display", "none", "-monitor", "none", "-serial", "none"),
        *("-chardev", "stdio,id=console"),
        *("-semihosting-config", f"enable=on,target=native,chardev=console{arguments}"),
        *("-kernel", str(built.elf.resolve())),
    ]
    return run_process(command, console, timeout, f"{built.elf.name} in QEMU")
