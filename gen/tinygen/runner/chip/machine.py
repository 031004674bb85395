# SPDX-License-Identifier: Apache-2.0
"""A chip in Unicorn: its memories, registers and exceptions round the core, and the run."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tinygen.boards import Board
from tinygen.boards.chip import Chip
from tinygen.errors import TinygenError
from tinygen.runner.chip import scs as system
from tinygen.runner.chip.bus import Bus
from tinygen.runner.chip.core import FIRST_RETURN, Core
from tinygen.runner.chip.faults import Fault, denied, fault_of, unmapped
from tinygen.runner.chip.memory import BadFrame, Memory
from tinygen.runner.chip.native import NEVER, NO_PRIORITY, Hooks
from tinygen.runner.chip.scs import SystemControl

_PERIPHERALS = ((0x40000000, 0x20000000), (0xA0000000, 0x00010000))
_UNTIL = 0xFFFFFFFE  # no address of code, and no return from an exception
_SLICE = 20_000_000  # instructions between two looks at the clock
_LOADS = 20_000  # of registers, which are slow here: a look at the clock after so many
_SEMIHOSTING = b"\xab\xbe"
_SWI, _BKPT, _RETURN = 2, 7, 8


@dataclass
class Ending:
    """Why a run ended. pc: where.  fault: what the chip would have trapped, or None."""

    why: str
    pc: int
    fault: Fault | None = None


@dataclass
class Machine:
    """console: gets (USART, byte).  finished: asked after every byte and now and then."""

    board: Board
    chip: Chip
    segments: Iterable[tuple[int, bytes]]
    vectors: int
    console: Callable[[str, int], None]
    finished: Callable[[], bool]
    slept: int = 0
    _loads: int = 0
    _fault: Fault | None = None
    _error: BaseException | None = None
    _interrupt: int | None = None

    def __post_init__(self) -> None:
        try:
            self._unicorn: Any = importlib.import_module("unicorn")
        except ImportError:
            raise TinygenError(
                "the package unicorn is not installed: pip install 'tinygen[run]'"
            ) from None
        unicorn, arm_const = self._unicorn, importlib.import_module("unicorn.arm_const")
        self._uc: Any = unicorn.Uc(
            unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS
        )
        uc = self._uc
        cpu = self.board.core.cpu
        known = cpu.removesuffix("plus").upper().replace("-", "_")
        model = getattr(arm_const, f"UC_CPU_ARM_{known}", None)
        if model is None:
            raise TinygenError(f"Unicorn has no {cpu}, the core of {self.board.name}")
        uc.ctl_set_cpu_model(model)
        hooks = self._hooks = Hooks(uc)
        self.state = hooks.state
        self.scs = SystemControl(
            cpu, self.chip.mpu, lambda: int(self.state.instructions), lambda: self.elapsed
        )
        self.bus = Bus(self.chip, self._transmit)
        self.core = Core(uc, self.scs, v8=cpu == "cortex-m33", may_stack=self._may_stack)
        self.state.fpu_off = 1
        self._memory = Memory(uc, self.board, self.chip, hooks, self.bus.words)
        self._memory.load(self.segments)
        for base, size in _PERIPHERALS:
            self._map_registers(base, size, self.bus.read, self._write_peripheral)
        self._map_registers(system.BASE, system.SIZE, self.scs.read, self._write_system)
        uc.hook_add(unicorn.UC_HOOK_INTR, self._on_interrupt)
        uc.hook_add(
            unicorn.UC_HOOK_MEM_READ_UNMAPPED
            | unicorn.UC_HOOK_MEM_WRITE_UNMAPPED
            | unicorn.UC_HOOK_MEM_WRITE_PROT
            | unicorn.UC_HOOK_MEM_FETCH_PROT,
            self._on_bad_access,
        )
        hooks.add(unicorn.UC_HOOK_BLOCK, "on_block")

    @property
    def elapsed(self) -> int:
        """Instructions that have run, and those that would have while the core slept."""
        return int(self.state.instructions) + self.slept

    # ---- Registers, and accesses that nothing answers ----

    def _map_registers(
        self,
        base: int,
        size: int,
        read: Callable[[int, int], int],
        write: Callable[[int, int, int], None],
    ) -> None:
        """An exception must not pass through Unicorn: it is kept and raised when the run stops."""

        def on_read(_: object, offset: int, width: int, __: object) -> int:
            self._loads += 1
            if self._loads % _LOADS == 0:
                self.state.want_stop = 1
            try:
                return read(base + offset, width)
            except BaseException as e:
                self._stop_for(e)
                return 0

        def on_write(_: object, offset: int, width: int, value: int, __: object) -> None:
            try:
                write(base + offset, width, value)
            except BaseException as e:
                self._stop_for(e)

        self._uc.mmio_map(base, size, on_read, None, on_write, None)

    def _may_stack(self, first: int, end: int) -> None:
        self._memory.require_frame(first, end)

    def _stop_for(self, error: BaseException) -> None:
        self._error = self._error or error
        self.state.want_stop = 1

    def _write_peripheral(self, address: int, size: int, value: int) -> None:
        self.bus.write(address, size, value)
        if self.bus.is_uart_control(address):
            self.state.want_stop = 1  # it may ask for an interrupt now

    def _write_system(self, address: int, size: int, value: int) -> None:
        self.scs.write(address, size, value)
        # Whatever it was, the loop looks at it before the next block.
        self.state.want_stop = 1

    def _transmit(self, uart: str, byte: int) -> None:
        self.console(uart, byte)
        if self.finished():
            self.state.want_stop = 1

    def _on_bad_access(
        self, uc: Any, kind: int, address: int, size: int, value: int, _: object
    ) -> bool:
        unicorn = self._unicorn
        try:
            if kind in (unicorn.UC_MEM_READ_UNMAPPED, unicorn.UC_MEM_WRITE_UNMAPPED):
                if self._memory.clock_has_come(address):
                    self.core.set("EPSR", 1 << 24)  # see hooks.c: no IT state after a hook
                    return True
                self._fault = unmapped(self, address, size, kind == unicorn.UC_MEM_WRITE_UNMAPPED)
            elif kind == unicorn.UC_MEM_WRITE_PROT:
                if self._memory.program(address, size, value):
                    self.core.set("EPSR", 1 << 24)
                    return True
                self._fault = denied(self, address, size)
        except BaseException as e:
            self._stop_for(e)
        return False

    # ---- The run ----

    def _on_interrupt(self, uc: Any, number: int, _: object) -> None:
        self._interrupt = number
        uc.emu_stop()

    def run(self, limit: Callable[[], str | None]) -> Ending:
        """Until the console is finished, the chip traps, nothing can happen any more, or `limit`,
        asked a few times a second, gives a reason."""
        self.scs.vector_table = self.vectors
        stack = int.from_bytes(self._uc.mem_read(self.vectors, 4), "little")
        pc = int.from_bytes(self._uc.mem_read(self.vectors + 4, 4), "little") | 1
        self.core.reset(stack)
        looked = time.monotonic()
        while True:
            self._prepare()
            self._interrupt = None
            error: Any = None
            try:
                self._uc.emu_start(pc, _UNTIL)
            except self._unicorn.UcError as e:
                error = e
            at = self.core.get("PC")
            if self._error is not None:
                raise self._error
            if self._fault is None and self.state.fault:
                self._fault = fault_of(self)
            if self._fault is not None:
                return Ending("fault", self._fault.pc, self._fault)
            if self.finished():
                return Ending("finished", at)
            if self.scs.reset_asked:
                return Ending("reset", at)
            try:
                if self._interrupt is not None or error is not None:
                    moved = self._exception(at, error)
                    if isinstance(moved, Ending):
                        return moved
                    pc = moved
                    continue
                if not self._stopped() and not self._sleep():
                    return Ending("sleep", at)
                if (now := time.monotonic()) - looked > 0.2:
                    looked = now
                    if why := limit():
                        return Ending(why, at)
                pc = self._dispatch(at | 1)
            except BadFrame as e:
                return Ending("fault", at, Fault(str(e), at))

    def _stopped(self) -> bool:
        """hooks.c stopped the core; else it has gone to sleep."""
        state = self.state
        return bool(
            state.want_stop or state.instructions >= state.stop_at or state.pending < state.active
        )

    def _prepare(self) -> None:
        """What hooks.c must know before the core goes on."""
        state, control = self.state, self.scs
        state.want_stop = 0
        control.tick()
        if control.mpu.changed:
            control.mpu.changed = False
            self._memory.protect(control.mpu.denied())
        fpu_off = int(not control.fpu_on)
        aligned = int(control.traps_unaligned)
        if aligned != state.aligned:
            self._hooks.forget_blocks()
        state.fpu_off, state.aligned = fpu_off, aligned
        waiting = control.next_pending()
        state.pending = NO_PRIORITY if waiting is None else control.priority(waiting)
        state.active = control.current_priority
        stop = int(state.instructions) + _SLICE
        tick = control.next_tick()
        if tick is not None:
            stop = min(stop, max(tick - self.slept, 0))
        state.stop_at = min(stop, NEVER)

    def _dispatch(self, pc: int) -> int:
        """Take the most urgent exception, if it may be taken now; where to go on."""
        control = self.scs
        control.tick()
        for irq in self.bus.wants_interrupt():
            control.pending.add(system.IRQ0 + irq)
        number = control.next_pending()
        if number is None:
            return pc
        if self.core.get("XPSR") & 0x0600FC00:
            return pc
        level = control.current_priority
        if (base := self.core.get("BASEPRI")) and base < level:
            level = base
        if self.core.get("PRIMASK") & 1:
            level = min(level, 0)
        if self.core.get("FAULTMASK") & 1:
            level = min(level, -1)
        if control.priority(number) >= level:
            return pc
        return self.core.enter(number, pc) | 1

    def _sleep(self) -> bool:
        """WFI, WFE: go on when something can wake the core; False: never."""
        control = self.scs
        control.tick()
        if control.next_pending() is not None:
            return True
        tick = control.next_tick()
        if tick is None:
            return False
        self.slept += max(0, tick - self.elapsed)
        control.tick()
        return True

    def _exception(self, at: int, error: Any) -> int | Ending:
        """What stopped the core other than a hook; where to go on, or the end."""
        number = self._interrupt
        if number == _RETURN or at >= FIRST_RETURN:
            return self._dispatch(self.core.leave(at | 1))
        if number == _SWI:
            self.scs.pending.add(system.SVC)
            return self.core.enter(system.SVC, at) | 1
        code = self._halfword(at)
        if number is None and self._halfword(at - 2) in (b"\x20\xbf", b"\x30\xbf", b"\x10\xbf"):
            # WFE and YIELD: Unicorn takes them for invalid instructions.
            return self._dispatch(at | 1) if self._sleep() else Ending("sleep", at)
        if number == _BKPT and code == _SEMIHOSTING:
            return Ending("semihosting", at)
        return Ending("fault", at, fault_of(self, number, str(error) if error else ""))

    def _halfword(self, address: int) -> bytes:
        try:
            return bytes(self._uc.mem_read(address, 2))
        except self._unicorn.UcError:
            return b""
