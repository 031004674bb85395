# SPDX-License-Identifier: Apache-2.0
"""Find and read board descriptions."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError

from tinygen.boards.model import Board
from tinygen.errors import TinygenError
from tinygen.resources import resource


def read_board(path: Path) -> Board:
    """One YAML file; `TinygenError` names the field at fault."""
    try:
        return Board.model_validate(yaml.safe_load(path.read_text()))
    except (OSError, yaml.YAMLError) as e:
        raise TinygenError(f"{path}: not a readable board description ({e})") from None
    except ValidationError as e:
        first = e.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "board"
        raise TinygenError(
            f"{path}: {where}: {first['msg']}; see boards/README.md for the schema"
        ) from None


def all_boards() -> list[Board]:
    """Every board that ships, by name."""
    return [read_board(p) for p in sorted(resource("boards").glob("*.yaml"))]


def load_board(name: str) -> Board:
    """A board by name, alias, or path of a .yaml file. `mps2/an386` and `mps2_an386` are one."""
    if name.endswith((".yaml", ".yml")):
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
