# SPDX-License-Identifier: Apache-2.0
"""Projects around the toy model, made once for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from runner_toy import ProjectOf, make_project

from tinygen.boards import load_board


@pytest.fixture(scope="session")
def project_of(tmp_path_factory: pytest.TempPathFactory) -> ProjectOf:
    """Board name -> a project that passes; shared, so that it is built once."""
    made: dict[str, Path] = {}

    def project(board: str) -> Path:
        if board not in made:
            made[board] = make_project(
                tmp_path_factory.mktemp(board) / "project", load_board(board)
            )
        return made[board]

    return project
