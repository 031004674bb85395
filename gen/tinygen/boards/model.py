# SPDX-License-Identifier: Apache-2.0
"""A board as the planner, the emitter and the runner see it; the schema of boards/*.yaml."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Region(_Strict):
    """One memory. base and size in bytes."""

    name: str
    kind: Literal["flash", "ram", "code", "external"]
    """code: fast memory that the core fetches hot kernels from (ITCM).  external: RAM behind a
    serial port (L3), not in the address space: only copies reach it."""
    base: int = Field(ge=0)
    size: int = Field(gt=0)
    speed: float = Field(default=1.0, gt=0)
    """Cost of an access relative to the fastest memory of the board (1.0)."""
    wait: float = Field(default=0.0, ge=0)
    """Flash: cycles that the core waits for each byte of what it reads in sequence (weights)."""
    masters: tuple[Literal["core", "dma"], ...] = ("core",)
    section: str | None = None
    """Its linker section, in Zephyr the zephyr,memory-region of its devicetree node; None = the
    default RAM."""
    clock: str | None = None
    """STM32: what LL_<bus>_GRP1_EnableClock must get before the first access, e.g.
    LL_AHB2_GRP1_PERIPH_D2SRAM1; None = always clocked."""
    reserved: int = Field(default=0, ge=0)
    """Bytes the rest of the firmware needs here (stack, RTOS, libc)."""

    @property
    def usable(self) -> int:
        return max(0, self.size - self.reserved)


class Core(_Strict):
    """cpu: the compiler's name (-mcpu).  target: key of tinygen.targets."""

    cpu: str
    target: Literal["portable", "armv7em", "xpulpv2"]
    cflags: tuple[str, ...] = ()
    count: int = Field(default=1, ge=1)
    clock_hz: int = Field(gt=0)
    dcache: int = Field(default=0, ge=0)
    """Bytes of data cache."""


class Power(_Strict):
    """What the running core takes, and where that is from."""

    mw_per_mhz: float = Field(gt=0)
    source: str


class Emulation(_Strict):
    """How the board is run without hardware."""

    qemu_machine: str | None = None
    unicorn_cpu: str | None = None
    host: bool = False
    """The project also builds for this computer (and, unless gvsoc, only for it)."""
    gvsoc: str | None = None
    """GVSoC's target; needs the PULP SDK."""
    chip: str | None = None
    """Family under boards/chips/: the image that is flashed runs on a model of the chip."""


class Zephyr(_Strict):
    """The board in Zephyr.

    board    name with its qualifiers, as `west build -b` takes it
    conf     lines of zephyr/boards/<board>.conf
    overlay  text of zephyr/boards/<board>.overlay
    """

    board: str
    conf: tuple[str, ...] = ()
    overlay: str = ""

    @property
    def file(self) -> str:
        """<board> in the names of .conf and .overlay."""
        return self.board.replace("/", "_")


class Board(_Strict):
    """One YAML file under boards/."""

    name: str
    title: str
    aliases: tuple[str, ...] = ()
    core: Core
    memory: tuple[Region, ...] = Field(min_length=1)
    templates: tuple[str, ...] = Field(min_length=1)
    emulation: Emulation = Emulation()
    power: Power | None = None
    """None: no energy is predicted."""
    zephyr: Zephyr | None = None
    platformio_board: str | None = None

    @field_validator("memory")
    @classmethod
    def _distinct(cls, regions: tuple[Region, ...]) -> tuple[Region, ...]:
        names = [r.name for r in regions]
        if len(set(names)) != len(names):
            raise ValueError("two regions have the same name")
        spans = sorted((r.base, r.base + r.size, r.name) for r in regions)
        for (_, end, a), (start, _, b) in pairwise(spans):
            if start < end:
                raise ValueError(f"regions {a} and {b} overlap")
        return regions

    @property
    def ram(self) -> tuple[Region, ...]:
        return tuple(r for r in self.memory if r.kind == "ram")

    @property
    def code_ram(self) -> Region | None:
        """Where hot kernels go; None: they stay in flash."""
        return next((r for r in self.memory if r.kind == "code"), None)

    @property
    def flash(self) -> tuple[Region, ...]:
        return tuple(r for r in self.memory if r.kind == "flash")
