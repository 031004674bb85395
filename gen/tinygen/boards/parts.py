# SPDX-License-Identifier: Apache-2.0
"""What a board consists of, each by itself; whether they fit each other is asked in fit.py."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from tinygen.boards.texts import (
    Clock,
    ConfLine,
    Cpu,
    Flag,
    Integer,
    Label,
    Name,
    Overlay,
    Section,
    Title,
    ZephyrBoard,
)


class Strict(BaseModel):
    """No field of another name, no infinity, no change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Region(Strict):
    """One memory. base and size in bytes."""

    name: Label
    kind: Literal["flash", "ram", "code", "external"]
    """code: fast memory that the core fetches hot kernels from (ITCM).  external: RAM behind a
    serial port (L3), not in the address space: only copies reach it."""
    base: Integer = Field(ge=0)
    size: Integer = Field(gt=0)
    speed: float = Field(default=1.0, gt=0)
    """Cost of an access relative to the fastest memory of the board (1.0)."""
    wait: float = Field(default=0.0, ge=0)
    """Flash: cycles that the core waits for each byte of what it reads in sequence (weights)."""
    masters: tuple[Literal["core", "dma"], ...] = ("core",)
    section: Section | None = None
    """Its linker section, in Zephyr the zephyr,memory-region of its devicetree node; None = the
    default RAM."""
    clock: Clock | None = None
    """STM32: what LL_<bus>_GRP1_EnableClock must get before the first access, e.g.
    LL_AHB2_GRP1_PERIPH_D2SRAM1; None = always clocked."""
    reserved: Integer = Field(default=0, ge=0)
    """Bytes the rest of the firmware needs here (stack, RTOS, libc)."""

    @property
    def usable(self) -> int:
        return max(0, self.size - self.reserved)


class Core(Strict):
    """cpu: the compiler's name (-mcpu).  target: key of tinygen.targets."""

    cpu: Cpu
    target: Literal["portable", "armv7em", "xpulpv2"]
    cflags: tuple[Flag, ...] = ()
    count: Integer = Field(default=1, ge=1, le=64)
    clock_hz: Integer = Field(gt=0, le=100_000_000_000)
    dcache: Integer = Field(default=0, ge=0)
    """Bytes of data cache."""


class Power(Strict):
    """What the running core takes, and where that is from."""

    mw_per_mhz: float = Field(gt=0)
    source: Title


class Emulation(Strict):
    """How the board is run without hardware."""

    qemu_machine: Name | None = None
    unicorn_cpu: Name | None = None
    host: bool = False
    """The project also builds for this computer (and, unless gvsoc, only for it)."""
    gvsoc: Name | None = None
    """GVSoC's target; needs the PULP SDK."""
    chip: str | None = None
    """Family under boards/chips/: the image that is flashed runs on a model of the chip."""


class Zephyr(Strict):
    """The board in Zephyr.

    board    name with its qualifiers, as `west build -b` takes it
    conf     lines of zephyr/boards/<board>.conf
    overlay  text of zephyr/boards/<board>.overlay
    """

    board: ZephyrBoard
    conf: tuple[ConfLine, ...] = ()
    overlay: Overlay = ""

    @property
    def file(self) -> str:
        """<board> in the names of .conf and .overlay."""
        return self.board.replace("/", "_")
