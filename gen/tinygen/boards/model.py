# SPDX-License-Identifier: Apache-2.0
"""A board as the planner, the emitter and the runner see it; the schema of boards/*.yaml."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from tinygen.boards import fit
from tinygen.boards.parts import Core, Emulation, Power, Region, Strict, Zephyr
from tinygen.boards.texts import Alias, Name, Title


class Board(Strict):
    """One YAML file under boards/."""

    name: Name
    title: Title
    aliases: tuple[Alias, ...] = ()
    core: Core
    memory: tuple[Region, ...] = Field(min_length=1)
    templates: tuple[Literal["zephyr", "baremetal", "pulp-sdk"], ...] = Field(min_length=1)
    emulation: Emulation = Emulation()
    power: Power | None = None
    """None: no energy is predicted."""
    zephyr: Zephyr | None = None
    platformio_board: Name | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        fit.core(self.core, self.emulation.host)
        fit.memory(self.memory, self.core.target)
        fit.templates(
            self.templates, self.core.target, self.memory, self.zephyr, self.emulation.host
        )
        return self

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
