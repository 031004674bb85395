# SPDX-License-Identifier: Apache-2.0
"""What a generated project says about itself: its tinygen.json."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tinygen.boards import Board, fault, load_board
from tinygen.errors import TinygenError


class Layer(BaseModel):
    """One entry of the schedule, in order."""

    model_config = ConfigDict(frozen=True)
    name: str
    op: str
    instructions: int | None = None
    cycles: int | None = None
    """Predicted, an inference."""


class Project(BaseModel):
    """model: prefix of the generated functions. samples: how many the firmware carries.  outputs:
    names of several."""

    model_config = ConfigDict(frozen=True)
    board: str
    model: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    template: str = "baremetal"
    model_hash: str = ""
    board_description: Board | None = None
    layers: tuple[Layer, ...]
    arena_bytes: int
    samples: int | None = None
    outputs: tuple[str, ...] = ()

    def load_board(self) -> Board:
        """The board as it was when the project was made."""
        return self.board_description or load_board(self.board)


def read_project(folder: Path) -> Project:
    """tinygen.json of a project; `TinygenError` when the folder is none."""
    path = folder / "tinygen.json"
    try:
        return Project.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise TinygenError(
            f"{folder} is not a tinygen project (it has no tinygen.json): create one with "
            "`tinygen new`"
        ) from None
    except ValidationError as e:
        raise TinygenError(f"{path} is damaged ({fault(e)}): create the project again") from None
    except (OSError, ValueError, RecursionError) as e:
        reason = (getattr(e, "strerror", None) or str(e)).splitlines()[0]
        raise TinygenError(f"{path} is damaged ({reason}): create the project again") from None
