# SPDX-License-Identifier: Apache-2.0
"""tinygen.json of a project as it is read back: whatever it holds, a record or one sentence."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from tinygen.boards import Board, fault, load_board, make_board
from tinygen.errors import TinygenError
from tinygen.names import identifier
from tinygen.planner import Options
from tinygen.project.manifest import MANIFEST


def _inside(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{name!r} lies outside of the project")
    return name


def _prefix(name: str) -> str:
    if name != identifier(name):
        raise ValueError(f"{name!r} is no prefix of C names")
    return name


class Recorded(BaseModel):
    """files: path in the project -> SHA-256 of it as it was generated."""

    model_config = ConfigDict(frozen=True)
    model: Annotated[str, AfterValidator(_prefix)]
    board: str
    template: Literal["zephyr", "zephyr-module", "baremetal", "pulp-sdk"]
    files: dict[Annotated[str, AfterValidator(_inside)], str]
    options: dict[str, Any] = Field(default_factory=dict)
    board_description: dict[str, Any] | None = None

    def plan_options(self) -> Options:
        """Raises ValueError."""
        if unknown := self.options.keys() - {f.name for f in fields(Options)}:
            raise ValueError(f"options: {min(unknown)} is of another version of tinygen")
        try:
            return TypeAdapter(Options).validate_python(self.options)
        except ValidationError as e:
            raise ValueError(f"options.{fault(e)}") from None

    def load_board(self) -> Board:
        """As it was when the project was made; an imported board has no other place."""
        if self.board_description is None:
            return load_board(self.board)
        return make_board(self.board_description, f"{MANIFEST}: board_description")


def read_manifest(folder: Path) -> Recorded:
    """Raises `TinygenError` if the folder is no project, or its manifest was damaged."""
    path = folder / MANIFEST
    try:
        record = Recorded.model_validate(json.loads(path.read_text(encoding="utf-8")))
        record.plan_options()
        return record
    except FileNotFoundError:
        raise TinygenError(
            f"{folder} is not a tinygen project (it has no {MANIFEST}): create one with "
            "`tinygen new`"
        ) from None
    except ValidationError as e:
        said = fault(e)
    except OSError as e:
        said = e.strerror or str(e)
    except (ValueError, RecursionError) as e:
        said = str(e)
    raise TinygenError(f"{path} is damaged ({said}): restore it from version control")
