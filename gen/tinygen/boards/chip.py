# SPDX-License-Identifier: Apache-2.0
"""What a chip family shows to software at start-up; the schema of boards/chips/*.yaml.

A board's file says which memories there are; the family's says how the registers answer: which
ready bit follows which enable bit, where the USARTs are, which clock a memory waits for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from tinygen.boards.model import Board
from tinygen.errors import TinygenError
from tinygen.resources import resource


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _bits(value: object) -> tuple[int, int]:
    """`17` or `3-5` -> lowest bit and number of bits."""
    low, _, high = str(value).partition("-")
    first, last = int(low), int(high or low)
    if not 0 <= first <= last <= 31:
        raise ValueError(f"{value!r} is no bit of a word: write 17, or 3-5")
    return first, last - first + 1


Bits = Annotated[tuple[int, int], BeforeValidator(_bits)]
Address = Annotated[int, Field(ge=0, le=0xFFFFFFFF)]


class Ready(_Strict):
    """Bits of a register that the hardware sets.

    bits    ready bit -> the bit that it follows, in `source` (default: the same register)
    always  mask of bits that always read as one
    """

    register_: Address = Field(alias="register")
    source: Address | None = None
    bits: tuple[tuple[Bits, Bits], ...] = ()
    always: int = 0


class Reset(_Strict):
    """Value of a register after reset; of `count` registers, one word apart."""

    register_: Address = Field(alias="register")
    value: int = Field(ge=0, le=0xFFFFFFFF)
    count: int = Field(default=1, ge=1)


class Uart(_Strict):
    """base: address.  irq: number of its interrupt, None = not modelled."""

    base: Address
    irq: int | None = Field(default=None, ge=0)


class Clock(_Strict):
    """The bit that turns a memory's clock on."""

    register_: Address = Field(alias="register")
    bit: int = Field(ge=0, le=31)


class Flash(_Strict):
    """The register whose bit `program` lets stores change flash."""

    control: Address
    program: int = Field(ge=0, le=31)


class Memory(_Strict):
    """Memory beside that of the board's file. words: its contents where software reads them."""

    name: str
    base: Address
    size: int = Field(gt=0)
    kind: Literal["rom", "ram"] = "ram"
    words: dict[int, int] = {}


class Chip(_Strict):
    """One YAML file under boards/chips/.

    usart    generation of the USARTs: `sr-dr` has SR and DR, `isr-tdr` has ISR and TDR
    mpu      regions of the MPU, 0 = none
    clocks   a memory's `clock` in the board's file -> the bit that turns it on
    """

    name: str
    title: str
    cores: tuple[str, ...] = Field(min_length=1)
    usart: Literal["sr-dr", "isr-tdr"]
    uarts: dict[str, Uart]
    mpu: int = Field(default=8, ge=0)
    ready: tuple[Ready, ...] = ()
    reset: tuple[Reset, ...] = ()
    memory: tuple[Memory, ...] = ()
    clocks: dict[str, Clock] = {}
    flash: Flash | None = None


def _folder() -> Path:
    return resource("boards") / "chips"


def chip_names() -> list[str]:
    """Every family that ships."""
    return sorted(p.stem for p in _folder().glob("*.yaml"))


def load_chip(name: str) -> Chip:
    """A family by name, or by the path of a .yaml file; `TinygenError` names the field at fault."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else _folder() / f"{name}.yaml"
    if not path.is_file():
        raise TinygenError(
            f"unknown chip {name!r}: choose one of {', '.join(chip_names())}, or give the path of "
            "a family's .yaml (docs/chips.md says how to write one)"
        )
    try:
        return Chip.model_validate(_pairs(yaml.safe_load(path.read_text())))
    except (OSError, yaml.YAMLError) as e:
        raise TinygenError(f"{path}: not a readable chip description ({e})") from None
    except ValidationError as e:
        first = e.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "chip"
        raise TinygenError(
            f"{path}: {where}: {first['msg']}; see docs/chips.md for the schema"
        ) from None


def chip_of(board: Board) -> str | None:
    """The board's chip family; that of the shipped board of its name where the file is older."""
    if board.emulation.chip is not None:
        return board.emulation.chip
    path = resource("boards") / f"{board.name}.yaml"
    if not path.is_file():
        return None
    emulation = (yaml.safe_load(path.read_text()) or {}).get("emulation") or {}
    found = emulation.get("chip")
    return None if found is None else str(found)


def _pairs(data: object) -> object:
    """`bits` is a mapping in the file: of pairs here, because ranges are no keys of JSON."""
    if isinstance(data, dict):
        for entry in data.get("ready") or ():
            if isinstance(entry, dict) and isinstance(entry.get("bits"), dict):
                entry["bits"] = list(entry["bits"].items())
    return data
