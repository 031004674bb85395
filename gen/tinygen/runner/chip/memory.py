# SPDX-License-Identifier: Apache-2.0
"""The memories of a chip in Unicorn: what is mapped, what waits for a clock, what is read-only."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from tinygen.boards import Board
from tinygen.boards.chip import Chip
from tinygen.runner.chip.mpu import Denied
from tinygen.runner.chip.native import Hooks

_PAGE = 0x400
_ERASED = b"\xff"


class BadFrame(Exception):
    """An exception's frame that the stack has no room for."""

    def __init__(self, address: int, where: str) -> None:
        super().__init__(
            f"the stack has grown to 0x{address:08x}, {where}, when an exception saved its frame: "
            "it is too small"
        )


class Memory:
    """registers: words of the peripherals by address, which say what clock is on."""

    def __init__(
        self, uc: Any, board: Board, chip: Chip, hooks: Hooks, registers: Mapping[int, int]
    ) -> None:
        self._uc, self._board, self._chip, self._hooks = uc, board, chip, hooks
        self._unicorn: Any = importlib.import_module("unicorn")
        self._registers = registers
        self._spans: list[range] = []
        self._waiting: dict[str, tuple[int, int]] = {}
        self._alias = 0, 0
        self._guards: dict[tuple[int, int, int], int] = {}

    def load(self, segments: Iterable[tuple[int, bytes]]) -> None:
        """Map everything and put the image there; flash is erased elsewhere."""
        uc, unicorn = self._uc, self._unicorn
        read_only = unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC
        for region in self._board.memory:
            if region.kind == "external":
                continue
            if region.clock is not None and region.clock in self._chip.clocks:
                self._waiting[region.name] = region.base, region.size
                continue
            rights = read_only if region.kind == "flash" else unicorn.UC_PROT_ALL
            self._map_span(region.base, region.size, rights)
            if region.kind == "flash":
                uc.mem_write(region.base, _ERASED * region.size)
        for memory in self._chip.memory:
            rights = read_only if memory.kind == "rom" else unicorn.UC_PROT_ALL
            self._map_span(memory.base, memory.size, rights)
            for address, word in memory.words.items():
                uc.mem_write(address, word.to_bytes(4, "little"))
        flash = self._board.flash[0]
        others = [r.base for r in self._board.memory] + [m.base for m in self._chip.memory]
        if flash.base and 0 not in others:
            # After reset, flash appears at address zero too.
            self._map_span(0, flash.size, read_only)
            uc.mem_write(0, _ERASED * flash.size)
            self._alias = flash.base, flash.size
        for address, data in segments:
            uc.mem_write(address, data)
            start, size = self._alias
            if start <= address < start + size:
                uc.mem_write(address - start, data)

    def _map_span(self, base: int, size: int, rights: int) -> None:
        """Whole pages; those that another memory has mapped stay as they are."""
        first, last = base // _PAGE, -(-(base + size) // _PAGE)
        taken = sorted({p for span in self._spans for p in span if first <= p < last})
        for low, high in pairwise([first - 1, *taken, last]):
            if high - low > 1:
                self._uc.mem_map((low + 1) * _PAGE, (high - low - 1) * _PAGE, rights)
        self._spans.append(range(first, last))

    def clock_has_come(self, address: int) -> bool:
        """Map a memory whose clock was turned on since the last look."""
        for region in self._board.memory:
            if region.name not in self._waiting or region.clock is None:
                continue
            clock = self._chip.clocks[region.clock]
            if self._registers.get(clock.register_, 0) >> clock.bit & 1:
                self._map_span(*self._waiting.pop(region.name), self._unicorn.UC_PROT_ALL)
                if region.base <= address < region.base + region.size:
                    return True
        return False

    def program(self, address: int, size: int, value: int) -> bool:
        """A store into flash: whether its controller was unlocked for it. Bits only fall."""
        flash = self._chip.flash
        if flash is None or not self._registers.get(flash.control, 0) >> flash.program & 1:
            return False
        old = int.from_bytes(self._uc.mem_read(address, size), "little")
        new = old & value
        self._uc.mem_write(address, new.to_bytes(size, "little"))
        start, length = self._alias
        if start <= address < start + length:
            self._uc.mem_write(address - start, new.to_bytes(size, "little"))
        return True

    def protect(self, denied: Iterable[Denied]) -> None:
        """Put what the MPU forbids into hooks.c and, for data, into hooks of Unicorn."""
        unicorn, hooks = self._unicorn, self._hooks
        memories = [(r.base, r.base + r.size - 1, r.kind == "flash") for r in self._board.memory]
        memories += [(m.base, m.base + m.size - 1, m.kind == "rom") for m in self._chip.memory]
        no_execute, wanted = [], set[tuple[int, int, int]]()
        for d in denied:
            for first, last, read_only in memories:
                low, high = max(first, d.first), min(last, d.last)
                if low > high:
                    continue
                if d.execute:
                    no_execute.append((low, high))
                if d.read:
                    wanted.add((unicorn.UC_HOOK_MEM_READ, low, high))
                if d.write and not read_only:
                    wanted.add((unicorn.UC_HOOK_MEM_WRITE, low, high))
        hooks.state.forbid_execution(no_execute)
        had = bool(self._guards)
        for key in self._guards.keys() - wanted:
            hooks.remove(self._guards.pop(key))
        for key in sorted(wanted - self._guards.keys()):
            self._guards[key] = hooks.add(key[0], "on_memory", key[1], key[2])
        if self._guards and not had:
            self._uc.ctl_flush_tb()  # blocks translated until now go round the hooks

    def require_frame(self, first: int, end: int) -> None:
        """The frame of an exception must lie in memory, outside of what the MPU forbids."""
        pages = {address // _PAGE for address in (first, end - 1)}
        mapped = all(any(page in span for span in self._spans) for page in pages)
        kept_off = any(
            kind == self._unicorn.UC_HOOK_MEM_WRITE and low < end and first <= high
            for kind, low, high in self._guards
        )
        if not mapped or kept_off:
            raise BadFrame(first, "into its guard" if mapped else "where there is no memory")
