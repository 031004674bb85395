# SPDX-License-Identifier: Apache-2.0
"""What a chip would trap, in a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from tinygen.boards import Board
from tinygen.runner.chip.core import Core
from tinygen.runner.chip.scs import SystemControl

_NO_EXECUTE, _UNALIGNED, _NO_FPU, _DENIED = 1, 2, 3, 4

_FRAME = 128
"""Bytes from the stack pointer within which a store is one of the stack's."""


@dataclass(frozen=True)
class Fault:
    """what: with the address, and a remedy where there is one.  pc: of the instruction."""

    what: str
    pc: int


class Stopped(Protocol):
    """What of a machine tells why it stopped. state: that of hooks.c."""

    board: Board
    state: Any
    core: Core
    scs: SystemControl


def _access(size: int, store: bool) -> str:
    return f"{'a store' if store else 'a load'} of {size} bytes"


def unmapped(machine: Stopped, address: int, size: int, store: bool) -> Fault:
    """An access to an address that no memory and no register answers."""
    pc = machine.core.get("PC")
    access = _access(size, store)
    for region in machine.board.memory:
        if region.base <= address < region.base + region.size and region.clock:
            return Fault(
                f"{access} at 0x{address:08x}, in {region.name}, before its clock is on: call "
                f"LL_{region.clock.split('_')[1]}_{region.clock.split('_')[2]}_EnableClock"
                f"({region.clock}) first",
                pc,
            )
    return Fault(
        f"{access} at 0x{address:08x}, where {machine.board.name} has no memory"
        f"{_nearest(machine, address)}",
        pc,
    )


def _nearest(machine: Stopped, address: int) -> str:
    """The memory that the address just misses."""
    for region in machine.board.memory:
        end = region.base + region.size
        if 0 <= address - end < 0x10000:
            return f": {region.name} ends at 0x{end:08x}"
        if 0 < region.base - address <= 0x10000:
            return f": {region.name} begins at 0x{region.base:08x}"
    return ""


def denied(machine: Stopped, address: int, size: int) -> Fault:
    """A store into memory that cannot be written."""
    where = next(
        (r.name for r in machine.board.flash if r.base <= address < r.base + r.size),
        "read-only memory",
    )
    return Fault(
        f"a store of {size} bytes at 0x{address:08x}, in {where}, which stores do not change "
        "unless its controller is unlocked and programming",
        machine.core.get("PC"),
    )


def fault_of(machine: Stopped, number: int | None = None, error: str = "") -> Fault:
    """What hooks.c or Unicorn stopped for."""
    state, core = machine.state, machine.core
    pc, address = int(state.fault_pc), int(state.fault_address)
    if state.fault == _NO_EXECUTE:
        return Fault(f"execution at 0x{address:08x}, which {_why(machine, address)} forbids", pc)
    if state.fault == _UNALIGNED:
        access = _access(state.fault_bytes, bool(state.fault_store))
        return Fault(f"{access} at 0x{address:08x}, which is not aligned: the core traps it", pc)
    if state.fault == _NO_FPU:
        return Fault("a floating-point instruction while the FPU is off", pc)
    if state.fault == _DENIED:
        if state.fault_store and abs(address - int(state.fault_sp)) < _FRAME:
            return Fault(
                f"the stack has grown to 0x{address:08x}, into its guard, which "
                f"{_why(machine, address)} forbids: it is too small",
                pc,
            )
        access = _access(state.fault_bytes, bool(state.fault_store))
        return Fault(f"{access} at 0x{address:08x}, which {_why(machine, address)} forbids", pc)
    pc = core.get("PC")
    known = {
        1: "an undefined instruction",
        3: f"execution at 0x{pc:08x}, where there is no memory",
        4: "an access that is not aligned: the core traps it",
        7: "a breakpoint without a debugger",
        17: "a coprocessor instruction without its coprocessor",
        18: f"a branch to 0x{pc:08x} without the Thumb bit",
        19: f"the stack pointer 0x{core.get('SP'):08x} is below its limit: the stack is too small",
        22: "an access that is not aligned: the core traps it",
    }
    if "Invalid instruction" in error and not core.get("XPSR") >> 24 & 1:
        number = 18
    if number in known:
        return Fault(known[number], pc)
    if "fetch" in error.lower():
        return Fault(f"execution at 0x{pc:08x}, where there is no memory", pc)
    if "Invalid instruction" in error:
        return Fault("an undefined instruction", pc)
    return Fault(error or f"exception {number} of Unicorn", pc)


def _why(machine: Stopped, address: int) -> str:
    for d in machine.scs.mpu.denied():
        if d.first <= address <= d.last:
            return (
                "the MPU, outside of its regions,"
                if d.region is None
                else f"region {d.region} of the MPU"
            )
    return "the memory map"
