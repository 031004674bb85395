# SPDX-License-Identifier: Apache-2.0
"""A board as the planner, the emitter and the runner see it; the schema of boards/*.yaml."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Region(_Strict):
    """One memory. base and size in bytes."""

    name: str
    kind: Literal["flash", "ram"]
    base: int = Field(ge=0)
    size: int = Field(gt=0)
    speed: float = Field(default=1.0, gt=0)
    """Cost of an access relative to the fastest memory of the board (1.0)."""
    masters: tuple[Literal["core", "dma"], ...] = ("core",)
    section: str | None = None
    """How the build system names it (linker section or devicetree label); None = the default RAM."""
    reserved: int = Field(default=0, ge=0)
    """Bytes the rest of the firmware needs here (stack, RTOS, libc)."""

    @property
    def usable(self) -> int:
        return max(0, self.size - self.reserved)


class Core(_Strict):
    """cpu: the compiler's name (-mcpu).  target: key of tinygen.targets."""

    cpu: str
    target: Literal["portable", "armv7em"]
    cflags: tuple[str, ...] = ()
    count: int = Field(default=1, ge=1)
    clock_hz: int = Field(gt=0)


class Emulation(_Strict):
    """How the board is run without hardware."""

    qemu_machine: str | None = None
    unicorn_cpu: str | None = None
    host: bool = False


class Board(_Strict):
    """One YAML file under boards/."""

    name: str
    title: str
    aliases: tuple[str, ...] = ()
    core: Core
    memory: tuple[Region, ...] = Field(min_length=1)
    templates: tuple[str, ...] = Field(min_length=1)
    emulation: Emulation = Emulation()
    zephyr_board: str | None = None
    platformio_board: str | None = None

    @field_validator("memory")
    @classmethod
    def _distinct(cls, regions: tuple[Region, ...]) -> tuple[Region, ...]:
        names = [r.name for r in regions]
        if len(set(names)) != len(names):
            raise ValueError("two regions have the same name")
        spans = sorted((r.base, r.base + r.size, r.name) for r in regions)
        for (_, end, a), (start, _, b) in zip(spans, spans[1:], strict=False):
            if start < end:
                raise ValueError(f"regions {a} and {b} overlap")
        return regions

    @property
    def ram(self) -> tuple[Region, ...]:
        return tuple(r for r in self.memory if r.kind == "ram")

    @property
    def flash(self) -> tuple[Region, ...]:
        return tuple(r for r in self.memory if r.kind == "flash")
