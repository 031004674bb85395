# SPDX-License-Identifier: Apache-2.0
"""Operators that need no pattern: each is calls of kernels that share one form.

Such a kernel is ``tg_<function>_s8(&block, operands..., first, last, y[, scratch])`` over rows
[first, last), so that the cores of a cluster share any of them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinygen.lowering import Constant, Cores, Lowered, Names, Share, Site, Slot, StepArgs
from tinygen.lowering.cores import align8
from tinygen.numeric import I8, Shape
from tinygen.operators.operator import Operator, need
from tinygen.targets import Counts, Loops


@dataclass(frozen=True)
class Ref:
    """In a parameter block: the address of the constant with this role."""

    role: str


class Wide(int):
    """In a parameter block: a number that C holds in 64 bits."""


Field = int | Ref | tuple[int, ...] | Mapping[str, Any]


@dataclass(frozen=True)
class Call:
    """One call.

    function: names the C function and, with _t, the type of the block.  block: its fields.
    operands: (input, offset in elements) each.  rows: units of work, which cores share.  y: offset
    in elements.  file: the C file, "": named after the function.
    """

    function: str
    block: Mapping[str, Field]
    operands: tuple[tuple[int, int], ...]
    rows: int
    y: int = 0
    file: str = ""

    @property
    def block_bytes(self) -> int:
        """Of the block on a core of 32 bits, alignment aside."""
        return _bytes(self.block)


def _bytes(field: Field) -> int:
    if isinstance(field, Mapping):
        return sum(_bytes(f) for f in field.values())
    if isinstance(field, tuple):
        return 4 * len(field)
    return 8 if isinstance(field, Wide) else 4


@dataclass(frozen=True, eq=False)
class General(Operator):
    """out: shape of its result, no batch axis."""

    header: ClassVar[str]
    """Under kernels/include/tinygen."""

    out: Shape

    @abstractmethod
    def compute(self, inputs: Sequence[I8]) -> I8:
        """The definition, bit for bit; the result in whatever shape its loops have."""

    def reference(self, inputs: Sequence[I8]) -> I8:
        """The result in its shape."""
        return self.compute(inputs).reshape(self.out)

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        fault = self.fault(inputs)
        need(fault is None, fault or "")
        return self.out

    def macs(self) -> int:
        return 0

    def scratch(self) -> int:
        """Bytes of working memory a core."""
        return 0

    def constants(self) -> Iterator[Constant]:
        """Arrays that go to flash."""
        yield from ()

    @abstractmethod
    def calls(self) -> tuple[Call, ...]:
        """The kernels that it runs."""

    @abstractmethod
    def loops(self) -> Counts:
        """Rounds of its kernels' loops, whose costs are fitted."""

    @property
    def traffic(self) -> int:
        """Bytes that are read from every input, an estimate."""
        return int(np.prod(self.out))

    def lower(self, site: Site) -> Lowered:
        scratch = site.temporary("scratch", self.scratch(), traffic=self.traffic)
        files = [f for c in self.calls() for f in site.target.sources(c.file or c.function)]
        others = (self.traffic,) * (len(site.inputs) - 1)
        args = GeneralStep(self, scratch)
        return Lowered(args, self.traffic, tuple(files), others=others, macs=self.macs())


@dataclass(frozen=True, eq=False)
class GeneralStep(StepArgs):
    """scratch: of one core."""

    op: General
    scratch: Slot | None

    @property
    def header(self) -> str:  # type: ignore[override]
        return self.op.header

    @property
    def block_bytes(self) -> int:  # type: ignore[override]
        return sum(call.block_bytes for call in self.op.calls())

    @property
    def fitted(self) -> str:
        return self.op.word

    def constants(self) -> Iterator[Constant]:
        return self.op.constants()

    def blocks(self, c: Names) -> str:
        return "".join(
            f"static const tg_{call.function}_t {name} = {_braces(call.block, c)};\n"
            for name, call in self._named(c.ident)
        )

    def call(self, c: Names) -> str:
        room = c.place(self.scratch) if self.scratch else None
        return "\n  ".join(self.statements(c, room, lambda rows: f"0, {rows}"))

    def statements(self, c: Names, scratch: str | None, rows: Callable[[int], str]) -> list[str]:
        """One statement a call. scratch: of the core in hand.  rows: units of work -> "first,
        last"."""
        lines = []
        for name, call in self._named(c.ident):
            operands = [_at(c.inputs[i], offset) for i, offset in call.operands]
            tail = [scratch] if scratch is not None else []
            arguments = [f"&{name}", *operands, rows(call.rows), _at(c.y, call.y), *tail]
            lines.append(f"tg_{call.function}_s8({', '.join(arguments)});")
        return lines

    def _named(self, ident: str) -> list[tuple[str, Call]]:
        """Each call with the name of its block."""
        every = self.op.calls()
        return [(f"{ident}_{i}" if len(every) > 1 else ident, call) for i, call in enumerate(every)]

    def functions(self) -> Iterator[str]:
        yield from sorted({f"tg_{call.function}_s8" for call in self.op.calls()})

    def loops(self, loops: Loops) -> Counts:
        return Counter({f"general.{name}": n for name, n in self.op.loops().items()})

    def share(self, cores: Cores) -> Share:
        """Scratch of every core."""
        return Share(cores.count * align8(self.op.scratch()))

    def shared_call(self, c: Names) -> str:
        """Every core takes its share of the rows, then all wait for each other."""
        scratch = None
        if c.work is not None:
            scratch = f"{c.place(c.work)} + tg_team_core() * {align8(self.op.scratch())}"
        return "\n  ".join([*self.statements(c, scratch, _part), "tg_team_barrier();"])

    def busiest(self, cores: int, tiles: int) -> Counts | None:
        return None


def _part(rows: int) -> str:
    """Of the core that runs this: "first, last"."""
    core, cores = "tg_team_core()", "tg_team_cores()"
    return f"{rows} * {core} / {cores}, {rows} * ({core} + 1) / {cores}"


def _at(place: str, offset: int) -> str:
    return f"{place} + {offset}" if offset else place


def _braces(fields: Mapping[str, Any], c: Names) -> str:
    return "{" + ", ".join(f".{k} = {_value(v, c)}" for k, v in fields.items()) + "}"


def _value(value: Any, c: Names) -> str:
    if isinstance(value, Ref):
        return c.symbol(value.role)
    if isinstance(value, Mapping):
        return _braces(value, c)
    if isinstance(value, tuple):
        return "{" + ", ".join(str(v) for v in value) + "}"
    return str(value)
