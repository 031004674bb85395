# SPDX-License-Identifier: Apache-2.0
"""Find and read board descriptions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tinygen.boards.model import Board
from tinygen.boards.read import fields
from tinygen.errors import TinygenError
from tinygen.resources import resource

_PLAIN = {
    "extra_forbidden": "there is no such field",
    "missing": "the field is missing",
    "model_type": "fields are needed here: {name: value, ...}",
    "dict_type": "fields are needed here: {name: value, ...}",
    "tuple_type": "a list is needed here: [...]",
}
"""What pydantic says in terms of Python."""
_SCHEMA = "boards/README.md has the schema"


def read_board(path: Path) -> Board:
    """One YAML file; `TinygenError` names the field at fault."""
    try:
        data = path.read_bytes()
    except OSError as e:
        raise TinygenError(f"{path}: cannot be read ({e.strerror or e})") from None
    try:
        found = fields(data)
    except ValueError as e:
        raise TinygenError(f"{path}: {e}") from None
    return make_board(found, str(path))


def make_board(found: Any, source: str) -> Board:
    """A board of these fields; `TinygenError` names the source and the field at fault."""
    if not isinstance(found, dict):
        raise TinygenError(f"{source}: it holds no fields of a board; {_SCHEMA}")
    try:
        return Board.model_validate(found)
    except ValidationError as e:
        raise TinygenError(f"{source}: {fault(e)}; {_SCHEMA}") from None


def fault(error: ValidationError) -> str:
    """The first field at fault, and what is wrong with it."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    said = first["msg"].removeprefix("Value error, ")
    said = _PLAIN.get(first["type"], said)
    return f"{where}: {said}" if where else said


def all_boards() -> list[Board]:
    """Every board that ships, by name."""
    return [read_board(p) for p in sorted(resource("boards").glob("*.yaml"))]


def load_board(name: str) -> Board:
    """A board by name, alias, or path of a .yaml file. `mps2/an386` and `mps2_an386` are one."""
    if name.lower().endswith((".yaml", ".yml")):
        return read_board(Path(name))
    wanted = _canonical(name)
    boards = all_boards()
    for board in boards:
        if wanted in {_canonical(n) for n in (board.name, *board.aliases)}:
            return board
    known = ", ".join(b.name for b in boards)
    raise TinygenError(
        f"unknown board {name!r}: choose one of {known}, or give the path of a board's .yaml"
    )


def _canonical(name: str) -> str:
    return name.lower().replace("/", "_").replace("-", "_")
