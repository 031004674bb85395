# SPDX-License-Identifier: Apache-2.0
"""Find and read board descriptions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from tinygen.boards.model import Board
from tinygen.errors import TinygenError
from tinygen.resources import resource


def read_board(path: Path) -> Board:
    """One YAML file; `TinygenError` names the field at fault."""
    try:
        content = path.read_bytes()
    except OSError as e:
        raise TinygenError(
            f"{path} cannot be read ({(e.strerror or 'error').lower()}): check the path"
        ) from None
    try:
        return Board.model_validate(yaml.load(content.decode("utf-8"), _OneOfEach))
    except UnicodeDecodeError as e:
        raise TinygenError(
            f"{path}: byte {e.start} is not UTF-8: save the board description as UTF-8"
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError) as e:
        if isinstance(e, ValidationError):
            raise _named(path, e) from None
        raise TinygenError(f"{path}: not a readable board description ({_reason(e)})") from None


def _named(path: Path, error: ValidationError) -> TinygenError:
    """The first field at fault."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "board"
    return TinygenError(f"{path}: {where}: {first['msg']}; see boards/README.md for the schema")


def _reason(error: Exception) -> str:
    """What YAML says is wrong, and where, on one line."""
    mark = getattr(error, "problem_mark", None)
    text = " ".join(str(getattr(error, "problem", None) or error).split())
    return text if mark is None else f"{text} in line {mark.line + 1}"


class _OneOfEach(yaml.SafeLoader):
    """Of YAML's keys in a mapping: of two alike the first would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value} stands there twice", key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


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
