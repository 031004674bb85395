# SPDX-License-Identifier: Apache-2.0
"""General operators in C: their parameter blocks, and the calls that an `Operator` asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tinygen.graph.operator import Call, Operator, Ref

Symbol = Callable[[str], str]
"""Role of a constant -> its C name."""


def blocks(op: Operator, ident: str, symbol: Symbol) -> str:
    """The constant parameter block of every call."""
    return "".join(
        f"static const tg_{call.function}_t {name} = {_braces(call.block, symbol)};\n"
        for name, call in _named(op, ident)
    )


@dataclass(frozen=True)
class Names:
    """C expressions: inputs, output, scratch of the core in hand (None: none is needed)."""

    inputs: tuple[str, ...]
    output: str
    scratch: str | None


def calls(op: Operator, ident: str, names: Names, rows: Callable[[int], str]) -> list[str]:
    """One statement a call. rows: units of work -> "first, last"."""
    lines = []
    for name, call in _named(op, ident):
        operands = [_at(names.inputs[i], offset) for i, offset in call.operands]
        tail = [names.scratch] if names.scratch is not None else []
        arguments = [f"&{name}", *operands, rows(call.rows), _at(names.output, call.y), *tail]
        lines.append(f"tg_{call.function}_s8({', '.join(arguments)});")
    return lines


def _named(op: Operator, ident: str) -> list[tuple[str, Call]]:
    """Each call with the name of its block."""
    every = op.calls()
    return [(f"{ident}_{i}" if len(every) > 1 else ident, call) for i, call in enumerate(every)]


def _at(place: str, offset: int) -> str:
    return f"{place} + {offset}" if offset else place


def _braces(fields: Mapping[str, Any], symbol: Symbol) -> str:
    return "{" + ", ".join(f".{k} = {_value(v, symbol)}" for k, v in fields.items()) + "}"


def _value(value: Any, symbol: Symbol) -> str:
    if isinstance(value, Ref):
        return symbol(value.role)
    if isinstance(value, Mapping):
        return _braces(value, symbol)
    if isinstance(value, tuple):
        return "{" + ", ".join(str(v) for v in value) + "}"
    return str(value)
