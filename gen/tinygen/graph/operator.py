# SPDX-License-Identifier: Apache-2.0
"""What an operator tells the stages: everything that is known of it stands in its own file.

The verifier asks `fault`, the reference `compute`, the planner `macs`, `scratch` and `constants`,
the cost model `loops`, the emitter `calls`. Nobody else knows what an operator is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

I8 = NDArray[np.int8]
Shape = tuple[int, ...]
Constant = tuple[str, NDArray[Any]]
"""(role, array): the array's C name ends with the role."""


@dataclass(frozen=True)
class Ref:
    """In a parameter block: the address of the constant with this role."""

    role: str


class Wide(int):
    """In a parameter block: a number that C holds in 64 bits."""


Field = int | Ref | tuple[int, ...] | Mapping[str, Any]


@dataclass(frozen=True)
class Call:
    """One call ``tg_<function>_s8(&block, operands..., first, last, y[, scratch])``.

    function: also names the C file and, with _t, the type of the block.  block: its fields.
    operands: (input, offset in elements) each.  rows: units of work, which cores share.  y: offset
    in elements.
    """

    function: str
    block: Mapping[str, Field]
    operands: tuple[tuple[int, int], ...]
    rows: int
    y: int = 0

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
class Operator(ABC):
    """An integer operator that needs no pattern. out: shape of its result, no batch axis."""

    word: ClassVar[str]
    """In reports and names."""
    header: ClassVar[str]
    """Under kernels/include/tinygen."""

    out: Shape

    @abstractmethod
    def compute(self, inputs: Sequence[I8]) -> I8:
        """The definition, bit for bit; the result in whatever shape its loops have."""

    def reference(self, inputs: Sequence[I8]) -> I8:
        """The result in its shape."""
        return self.compute(inputs).reshape(self.out)

    def fault(self, inputs: Sequence[Shape]) -> str | None:
        """What keeps a kernel from being exact on inputs of these shapes, or None."""
        return None

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
    def loops(self) -> Counter[str]:
        """Rounds of its kernels' loops, whose costs are fitted."""

    @property
    def traffic(self) -> int:
        """Bytes that are read from every input, an estimate."""
        return int(np.prod(self.out))
