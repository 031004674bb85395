# SPDX-License-Identifier: Apache-2.0
"""Exceptions of a Cortex-M in Unicorn, which has no NVIC: entry and return by hand.

Unicorn knows MSP, PSP, CONTROL and IPSR, and which of the two stacks is in use; it neither stacks
nor unstacks. Its translated blocks depend on whether the core is in handler mode, and it does not
look again when IPSR is written from outside: `_settle` makes it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from tinygen.runner.chip.scs import SystemControl

_THUMB = 1 << 24
_ALIGNED = 1 << 9
_FPCA, _SPSEL, _NPRIV = 4, 2, 1
_FLAGS = 0xF80F0000  # NZCVQ, GE
IT_STATE = 0x0600FC00

FIRST_RETURN = 0xFFFFFF00
"""Addresses from here on are no code: a branch there returns from an exception."""


class Core:
    def __init__(
        self, uc: Any, scs: SystemControl, v8: bool, may_stack: Callable[[int, int], None]
    ) -> None:
        """may_stack: raises where an exception's frame, from one address to another, cannot lie."""
        from unicorn import arm_const

        self._uc, self._scs, self._v8, self._may_stack = uc, scs, v8, may_stack
        self._arm = arm_const
        self._general = [getattr(arm_const, f"UC_ARM_REG_R{i}") for i in range(13)]
        self._single = [getattr(arm_const, f"UC_ARM_REG_S{i}") for i in range(16)]

    def get(self, name: str) -> int:
        return int(self._uc.reg_read(getattr(self._arm, f"UC_ARM_REG_{name}"))) & 0xFFFFFFFF

    def set(self, name: str, value: int) -> None:
        self._uc.reg_write(getattr(self._arm, f"UC_ARM_REG_{name}"), value & 0xFFFFFFFF)

    def reset(self, stack: int) -> None:
        self.set("MSP", stack)
        self.set("SP", stack)
        self.set("LR", 0xFFFFFFFF)

    def enter(self, number: int, pc: int) -> int:
        """Take an exception at pc; where its handler begins."""
        scs, uc = self._scs, self._uc
        xpsr, control = self.get("XPSR"), self.get("CONTROL")
        handler = bool(scs.active)
        on_psp = not handler and bool(control & _SPSEL)
        with_fpu = bool(control & _FPCA) and scs.saves_fpu
        general = [int(uc.reg_read(r)) & 0xFFFFFFFF for r in self._general]
        # IPSR first: user mode reads the stack pointers as zero and cannot write CONTROL.
        self.set("XPSR_NZCVQG", xpsr & _FLAGS | _THUMB | number)
        msp, psp = self.get("MSP"), self.get("PSP")
        sp = psp if on_psp else msp
        frame = sp - (0x68 if with_fpu else 0x20)
        aligned = frame & 4
        frame = (frame - aligned) & 0xFFFFFFFF
        saved = xpsr & ~_ALIGNED | _THUMB | (_ALIGNED if aligned else 0)
        words = [*general[:4], general[12], self.get("LR"), pc & ~1, saved]
        if with_fpu:
            words += [int(uc.reg_read(r)) & 0xFFFFFFFF for r in self._single]
            words += [self.get("FPSCR"), 0]
        self._may_stack(frame, sp)
        uc.mem_write(frame, struct.pack(f"<{len(words)}I", *words))
        back = 0xFFFFFFA0 | 0x10 if self._v8 else 0xFFFFFFE1 | 0x10
        if with_fpu:
            back &= ~0x10
        back |= (0 if handler else 8) | (4 if on_psp else 0)
        scs.active.append(number)
        scs.pending.discard(number)
        self.set("CONTROL", control & ~_FPCA)
        self.set("MSP", msp if on_psp else frame)
        self.set("PSP", frame if on_psp else psp)
        self.set("LR", back)
        self._settle()
        return int(struct.unpack("<I", uc.mem_read(scs.vector(number), 4))[0])

    def leave(self, back: int) -> int:
        """Return from the running exception by the value that was branched to; where to."""
        scs, uc = self._scs, self._uc
        if scs.active:
            ended = scs.active.pop()
            if ended != 2:
                self.set("FAULTMASK", 0)
        on_psp, to_thread, with_fpu = bool(back & 4), bool(back & 8), not back & 0x10
        msp, psp = self.get("MSP"), self.get("PSP")
        frame = psp if on_psp else msp
        size = 0x68 if with_fpu else 0x20
        words = struct.unpack(f"<{size // 4}I", uc.mem_read(frame, size))
        xpsr = words[7]
        sp = frame + size + (4 if xpsr & _ALIGNED else 0)
        number = 0 if to_thread else (scs.active[-1] if scs.active else 0)
        # In handler mode a write of CONTROL does not reach SPSEL, in user mode it reaches nothing:
        # to privileged thread mode first, and all of CONTROL at once there.
        control = self.get("CONTROL")
        self.set("CONTROL", control & ~_NPRIV)
        self.set("XPSR_NZCVQG", xpsr & (_FLAGS | IT_STATE) | _THUMB | number)
        control &= ~(_FPCA | _SPSEL)
        if to_thread and on_psp:
            control |= _SPSEL
        if with_fpu:
            control |= _FPCA
        self.set("MSP", msp if on_psp else sp)
        self.set("PSP", sp if on_psp else psp)
        self.set("CONTROL", control)
        for register, value in zip((*self._general[:4], self._general[12]), words, strict=False):
            uc.reg_write(register, value)
        self.set("LR", words[5])
        if with_fpu:
            for register, value in zip(self._single, words[8:24], strict=True):
                uc.reg_write(register, value)
            self.set("FPSCR", words[24])
        self._settle()
        return int(words[6]) | 1

    def _settle(self) -> None:
        """Of all registers, only the write of this one makes Unicorn look at its mode again."""
        self.set("APSR_NZCV", self.get("XPSR") & 0xF0000000)
