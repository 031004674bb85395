# SPDX-License-Identifier: Apache-2.0
"""The C expressions that a step's text is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tinygen.lowering.slot import Slot


@dataclass(frozen=True)
class Names:
    """ident: of the parameter block, or the start of several.

    inputs, y: `int8_t *` expressions.  place: of a slot, `uint8_t *`; "NULL" of None.
    symbol: role of a constant -> its C name.  work, tiles: see `Step`.
    """

    ident: str
    inputs: tuple[str, ...]
    y: str
    place: Callable[[Slot | None], str]
    symbol: Callable[[str], str]
    work: Slot | None = None
    tiles: int = 0

    @property
    def x(self) -> str:
        return self.inputs[0]


def indented(code: str) -> str:
    return "".join(f"  {line}\n" for line in code.splitlines())
