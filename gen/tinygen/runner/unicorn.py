# SPDX-License-Identifier: Apache-2.0
"""Run firmware in Unicorn (PyPI): semihosting and the CMSDK timer are served here.

Instructions are counted by a hook on every basic block during the first sample only, because that
makes it many times slower; the counts of the later samples are unknown.
"""

from __future__ import annotations

import struct
import time
from typing import Any

from tinygen.boards import Board
from tinygen.errors import TinygenError
from tinygen.runner.build import Built
from tinygen.runner.console import Console
from tinygen.runner.elf import Elf, read_elf

_TIMER = 0x40000000
_SYSTEM = 0xE0000000  # system control space; Unicorn has no NVIC
_PAGE = 0x1000
_BKPT_SEMIHOSTING = b"\xab\xbe"
_SYS_WRITE0, _SYS_GET_CMDLINE, _SYS_EXIT_EXTENDED = 0x04, 0x15, 0x20


def run_unicorn(
    built: Built, board: Board, console: Console, max_samples: int | None, timeout: float
) -> int:
    try:
        import unicorn
    except ImportError:
        raise TinygenError(
            "the package unicorn is not installed: pip install 'tinygen[run]', or apt-get install "
            "qemu-system-arm"
        ) from None
    if board.emulation.unicorn_cpu is None:
        raise TinygenError(f"Unicorn does not emulate {board.name}: run with --on qemu or host")
    machine = _Machine(unicorn, board, read_elf(built.elf), max_samples)
    return machine.run(console, timeout, f"{built.elf.name} in Unicorn")


class _Machine:
    def __init__(self, unicorn: Any, board: Board, elf: Elf, max_samples: int | None) -> None:
        from unicorn import arm_const

        self._unicorn, self._arm, self._elf = unicorn, arm_const, elf
        self._board = board
        self._command_line = "firmware" if max_samples is None else f"firmware {max_samples}"
        self._instructions = 0
        self._interrupt: int | None = None
        uc = self._uc = unicorn.Uc(
            unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS
        )
        cpu = f"UC_CPU_ARM_{str(board.emulation.unicorn_cpu).upper().replace('-', '_')}"
        uc.ctl_set_cpu_model(getattr(arm_const, cpu))
        for region in board.memory:
            base = region.base // _PAGE * _PAGE
            end = -(-(region.base + region.size) // _PAGE) * _PAGE
            uc.mem_map(base, end - base)
        uc.mem_map(_SYSTEM, 0x100000)
        uc.mmio_map(_TIMER, _PAGE, self._read_timer, None, self._write_timer, None)
        for segment in elf.segments:
            uc.mem_write(segment.address, segment.data)
        stack, reset = struct.unpack("<II", uc.mem_read(board.flash[0].base, 8))
        uc.reg_write(arm_const.UC_ARM_REG_MSP, stack)
        uc.reg_write(arm_const.UC_ARM_REG_SP, stack)
        self._pc = reset | 1
        uc.hook_add(unicorn.UC_HOOK_INTR, self._on_interrupt)

    def run(self, console: Console, timeout: float, what: str) -> int:
        """Emulate until the firmware exits; every semihosting call stops and resumes."""
        end = time.monotonic() + timeout
        counting: int | None = self._count_blocks()
        while True:
            left = end - time.monotonic()
            self._interrupt = None
            fault = ""
            if left > 0:
                try:
                    self._uc.emu_start(self._pc, 0xFFFFFFFF, timeout=int(left * 1e6) + 1)
                except self._unicorn.UcError as e:
                    fault = str(e)
            pc = self._uc.reg_read(self._arm.UC_ARM_REG_PC)
            if not fault and self._interrupt is None:
                raise TinygenError(
                    f"{what} did not end within {timeout:.0f} s, at {self._elf.describe(pc)}: "
                    f"{console.last_words}; raise the timeout, run fewer samples, or use QEMU"
                )
            if fault or self._halfword(pc) != _BKPT_SEMIHOSTING:
                raise TinygenError(f"{what} crashed: {self._describe_fault(pc, fault)}")
            status = self._semihosting(console)
            if status is not None:
                console.close()
                return status
            if counting is not None and console.samples:
                self._uc.hook_del(counting)
                self._uc.ctl_flush_tb()
                counting = None
            self._pc = (pc + 2) | 1

    def _semihosting(self, console: Console) -> int | None:
        """Serve the call that r0 and r1 describe; the exit status when it is the last one."""
        uc, arm = self._uc, self._arm
        operation, argument = uc.reg_read(arm.UC_ARM_REG_R0), uc.reg_read(arm.UC_ARM_REG_R1)
        result = 0
        if operation == _SYS_WRITE0:
            console.feed(self._string(argument))
        elif operation == _SYS_GET_CMDLINE:
            pointer, size = struct.unpack("<II", uc.mem_read(argument, 8))
            text = self._command_line.encode() + b"\0"
            if len(text) <= size:
                uc.mem_write(pointer, text)
                uc.mem_write(argument + 4, struct.pack("<I", len(text) - 1))
            else:
                result = 0xFFFFFFFF
        elif operation == _SYS_EXIT_EXTENDED:
            return int(struct.unpack("<II", uc.mem_read(argument, 8))[1])
        else:
            result = 0xFFFFFFFF
        uc.reg_write(arm.UC_ARM_REG_R0, result)
        return None

    def _string(self, address: int) -> str:
        data = bytearray()
        while b"\0" not in data:
            # Up to the end of a block of 256 bytes, so that reading never leaves the memory.
            step = 256 - (address + len(data)) % 256
            data += self._uc.mem_read(address + len(data), step)
        return data.split(b"\0", 1)[0].decode(errors="replace")

    def _halfword(self, address: int) -> bytes:
        try:
            return bytes(self._uc.mem_read(address, 2))
        except self._unicorn.UcError:
            return b""

    def _describe_fault(self, pc: int, reason: str) -> str:
        arm = self._arm
        lr, sp = (self._uc.reg_read(r) for r in (arm.UC_ARM_REG_LR, arm.UC_ARM_REG_SP))
        cause = reason or f"exception {self._interrupt}"
        if not any(r.base <= sp < r.base + r.size for r in self._board.ram):
            cause = f"stack overflow, {cause}"
        return (
            f"{cause} at {self._elf.describe(pc)}, called from {self._elf.describe(lr & ~1)}, "
            f"stack pointer 0x{sp:08x}"
        )

    def _on_interrupt(self, uc: Any, number: int, _: object) -> None:
        self._interrupt = number
        uc.emu_stop()

    def _count_blocks(self) -> int:
        """Hook every block; adds its instructions when it is entered."""
        lengths: dict[tuple[int, int], int] = {}

        def on_block(uc: Any, address: int, size: int, _: object) -> None:
            key = (address, size)
            length = lengths.get(key)
            if length is None:
                length = lengths[key] = _thumb_length(bytes(uc.mem_read(address, size)))
            self._instructions += length

        return int(self._uc.hook_add(self._unicorn.UC_HOOK_BLOCK, on_block))

    def _read_timer(self, uc: object, offset: int, size: int, _: object) -> int:
        """Down counter of 6.4 ticks an instruction, as under QEMU's -icount shift=8."""
        if offset != 4:
            return 0
        return ~(self._instructions * 32 // 5) & 0xFFFFFFFF

    def _write_timer(self, uc: object, offset: int, size: int, value: int, _: object) -> None:
        """Its settings are fixed."""


def _thumb_length(code: bytes) -> int:
    """Number of Thumb instructions."""
    count = at = 0
    while at < len(code):
        at += 4 if code[at + 1] >> 3 >= 0b11101 else 2
        count += 1
    return count
