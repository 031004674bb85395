# SPDX-License-Identifier: Apache-2.0
"""The system control space of a Cortex-M (0xE0000000 to 0xE00FFFFF): SysTick, NVIC, SCB, MPU, FPU
and the cycle counter. Time is counted in instructions."""

from __future__ import annotations

from collections.abc import Callable

from tinygen.runner.chip.mpu import Mpu
from tinygen.runner.chip.native import NO_PRIORITY

BASE, SIZE = 0xE0000000, 0x100000

HARD, MEM, BUS, USAGE, SVC, PENDSV, SYSTICK, IRQ0 = 3, 4, 5, 6, 11, 14, 15, 16
_FIXED = {2: -2, HARD: -1}

_DWT_CTRL, _DWT_CYCCNT = 0xE0001000, 0xE0001004
_ICTR = 0xE000E004
_SYST_CSR, _SYST_RVR, _SYST_CVR = 0xE000E010, 0xE000E014, 0xE000E018
_ISER, _ICER, _ISPR, _ICPR, _IABR, _IPR = (
    0xE000E100,
    0xE000E180,
    0xE000E200,
    0xE000E280,
    0xE000E300,
    0xE000E400,
)
_CPUID, _ICSR, _VTOR, _AIRCR, _CCR = 0xE000ED00, 0xE000ED04, 0xE000ED08, 0xE000ED0C, 0xE000ED14
_SHPR, _SHCSR, _CPACR, _FPCCR, _STIR = (
    0xE000ED18,
    0xE000ED24,
    0xE000ED88,
    0xE000EF34,
    0xE000EF00,
)
_CLEARED_BY_ONES = (0xE000ED28, 0xE000ED2C, 0xE000ED30)  # CFSR, HFSR, DFSR: what has failed
_MPU, _MPU_END = 0xE000ED90, 0xE000EDC8

_ENABLE, _TICKINT, _COUNTFLAG = 1, 2, 1 << 16
_UNALIGN_TRP = 1 << 3
_M33_LIMITS = ("cortex-m33", "cortex-m55", "cortex-m85")

_IDS = {
    "cortex-m0": 0x410CC200,
    "cortex-m0plus": 0x410CC601,
    "cortex-m3": 0x412FC231,
    "cortex-m4": 0x410FC241,
    "cortex-m7": 0x411FC271,
    "cortex-m33": 0x410FD213,
}
_FEATURES = {  # MVFR0 to MVFR2
    "cortex-m4": (0x10110021, 0x11000011, 0x00000000),
    "cortex-m7": (0x10110221, 0x12000011, 0x00000040),
    "cortex-m33": (0x10110021, 0x11000011, 0x00000040),
}


class SystemControl:
    """now: instructions that have run.  elapsed: the same with the time slept."""

    def __init__(
        self, cpu: str, regions: int, now: Callable[[], int], elapsed: Callable[[], int]
    ) -> None:
        self._cpu, self._now, self._elapsed = cpu, now, elapsed
        self._small = cpu in ("cortex-m0", "cortex-m0plus")
        self.mpu = Mpu(regions, v8=cpu in _M33_LIMITS)
        self.words: dict[int, int] = {
            _CPUID: _IDS.get(cpu, 0),
            _AIRCR: 0xFA050000,
            _CCR: 0x208 if self._small else 0x200,
            _FPCCR: 0xC0000000,
            _ICTR: 15,
            0xE000EDFC: 0x01000000,
            _DWT_CTRL: 0x40000000,
        }
        for i, value in enumerate(_FEATURES.get(cpu, ())):
            self.words[0xE000EF40 + 4 * i] = value
        self.pending: set[int] = set()
        self.enabled: set[int] = set()
        self.active: list[int] = []
        self._priorities: dict[int, int] = {}
        self._zero_at: int | None = None
        self._count_flag = False
        self._cycle_offset = 0
        self.reset_asked = False

    # ---- Exceptions ----

    def priority(self, number: int) -> int:
        return _FIXED.get(number, self._priorities.get(number, 0))

    @property
    def current_priority(self) -> int:
        return min((self.priority(n) for n in self.active), default=NO_PRIORITY)

    def next_pending(self) -> int | None:
        """The most urgent exception that waits and is enabled."""
        ready = [n for n in self.pending if n < IRQ0 or n - IRQ0 in self.enabled]
        return min(ready, key=lambda n: (self.priority(n), n), default=None)

    def vector(self, number: int) -> int:
        return self.words.get(_VTOR, 0) + 4 * number

    @property
    def vector_table(self) -> int:
        return self.words.get(_VTOR, 0)

    @vector_table.setter
    def vector_table(self, address: int) -> None:
        self.words[_VTOR] = address

    @property
    def traps_unaligned(self) -> bool:
        return bool(self.words.get(_CCR, 0) & _UNALIGN_TRP)

    @property
    def fpu_on(self) -> bool:
        return bool(self.words.get(_CPACR, 0) & 1 << 20)

    @property
    def saves_fpu(self) -> bool:
        """An exception saves the FPU's registers: FPCCR.ASPEN."""
        return bool(self.words.get(_FPCCR, 0) >> 31)

    # ---- SysTick ----

    def tick(self) -> None:
        """Bring SysTick up to date; pends its exception where it has run out."""
        if self._zero_at is None:
            return
        now = self._elapsed()
        if now < self._zero_at:
            return
        period = (self.words.get(_SYST_RVR, 0) & 0xFFFFFF) + 1
        self._count_flag = True
        if self.words.get(_SYST_CSR, 0) & _TICKINT:
            self.pending.add(SYSTICK)
        if period == 1:
            self._zero_at = None
        else:
            self._zero_at += ((now - self._zero_at) // period + 1) * period

    def next_tick(self) -> int | None:
        """When SysTick next asks for its exception, in elapsed instructions."""
        return self._zero_at if self.words.get(_SYST_CSR, 0) & _TICKINT else None

    def _systick_value(self) -> int:
        self.tick()
        if self._zero_at is None:
            return self.words.get(_SYST_CVR, 0)
        period = (self.words.get(_SYST_RVR, 0) & 0xFFFFFF) + 1
        return min(self._zero_at - self._elapsed(), period - 1)

    def _start_systick(self) -> None:
        reload = self.words.get(_SYST_RVR, 0) & 0xFFFFFF
        left = self.words.get(_SYST_CVR, 0) or reload + 1
        self._zero_at = self._elapsed() + left if reload else None

    # ---- Registers ----

    def read(self, address: int, size: int) -> int:
        word = self._word(address & ~3)
        return word >> 8 * (address & 3) & (0xFFFFFFFF >> 8 * (4 - size))

    def _word(self, address: int) -> int:
        if address == _DWT_CYCCNT:
            return 0 if self._small else (self._now() - self._cycle_offset) & 0xFFFFFFFF
        if address == _SYST_CVR:
            return self._systick_value()
        if address == _SYST_CSR:
            self.tick()
            flag, self._count_flag = self._count_flag, False
            return self.words.get(address, 0) & 7 | (_COUNTFLAG if flag else 0)
        if address == _ICSR:
            return self._icsr()
        if _MPU <= address < _MPU_END:
            return self.mpu.read(address - _MPU)
        if _ISER <= address < _ICER or _ICER <= address < _ISPR:
            return self._bits(self.enabled, address)
        if _ISPR <= address < _IABR:
            return self._bits({n - IRQ0 for n in self.pending}, address)
        if _IABR <= address < _IPR:
            return self._bits({n - IRQ0 for n in self.active}, address)
        if _IPR <= address < _IPR + 0x200:
            return self._priority_word(IRQ0 + address - _IPR)
        if _SHPR <= address < _SHCSR:
            return self._priority_word(4 + address - _SHPR)
        return self.words.get(address, 0)

    def write(self, address: int, size: int, value: int) -> None:
        base, shift = address & ~3, 8 * (address & 3)
        if _IPR <= address < _IPR + 0x200 or _SHPR <= address < _SHCSR:
            first = IRQ0 + address - _IPR if address < _CPUID else 4 + address - _SHPR
            levels = 0xC0 if self._small else 0xF0
            for i in range(size):
                self._priorities[first + i] = value >> 8 * i & levels
            return
        if size < 4:
            mask = (0xFFFFFFFF >> 8 * (4 - size)) << shift
            value = self.words.get(base, 0) & ~mask | value << shift & mask
        self._write_word(base, value)

    def _write_word(self, address: int, value: int) -> None:
        if address == _DWT_CYCCNT:
            self._cycle_offset = self._now() - value
        elif address == _SYST_CSR:
            running = self.words.get(address, 0) & _ENABLE
            if running and not value & _ENABLE:
                self.words[_SYST_CVR] = self._systick_value()
                self._zero_at = None
            self.words[address] = value & 7
            if value & _ENABLE and not running:
                self._start_systick()
        elif address == _SYST_CVR:
            self.words[address] = 0
            self._count_flag = False
            if self.words.get(_SYST_CSR, 0) & _ENABLE:
                self._start_systick()
        elif address == _ICSR:
            self._set_pending(value)
        elif address == _AIRCR:
            self.words[address] = 0xFA050000 | value & 0x700
            self.reset_asked |= value >> 16 == 0x05FA and bool(value & 4)
        elif _MPU <= address < _MPU_END:
            self.mpu.write(address - _MPU, value)
        elif _ISER <= address < _ICER:
            self.enabled |= _numbers(value, address - _ISER)
        elif _ICER <= address < _ISPR:
            self.enabled -= _numbers(value, address - _ICER)
        elif _ISPR <= address < _ICPR:
            self.pending |= {n + IRQ0 for n in _numbers(value, address - _ISPR)}
        elif _ICPR <= address < _IABR:
            self.pending -= {n + IRQ0 for n in _numbers(value, address - _ICPR)}
        elif address == _STIR:
            self.pending.add(IRQ0 + (value & 0x1FF))
        elif address in _CLEARED_BY_ONES:
            self.words[address] = self.words.get(address, 0) & ~value
        elif address not in (_CPUID, _ICTR):
            self.words[address] = value

    def _icsr(self) -> int:
        self.tick()
        waiting = self.next_pending() or 0
        return (
            (self.active[-1] if self.active else 0)
            | waiting << 12
            | bool(waiting >= IRQ0) << 22
            | (SYSTICK in self.pending) << 26
            | (PENDSV in self.pending) << 28
            | (len(self.active) <= 1) << 11
        )

    def _set_pending(self, value: int) -> None:
        for bit, number, add in (
            (31, 2, True),
            (28, PENDSV, True),
            (27, PENDSV, False),
            (26, SYSTICK, True),
            (25, SYSTICK, False),
        ):
            if value >> bit & 1:
                (self.pending.add if add else self.pending.discard)(number)

    def _priority_word(self, first: int) -> int:
        return sum(self._priorities.get(first + i, 0) << 8 * i for i in range(4))

    @staticmethod
    def _bits(numbers: set[int], address: int) -> int:
        first = (address & 0x7F) * 8
        return sum(1 << n - first for n in numbers if first <= n < first + 32)


def _numbers(value: int, offset: int) -> set[int]:
    """Interrupts whose bits are set in a register at this offset of its group."""
    return {offset * 8 + i for i in range(32) if value >> i & 1}
