# SPDX-License-Identifier: Apache-2.0
"""What the tests of Zephyr projects share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from zephyr_projects import Made, ProjectOf, board_of, build, make


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked zephyr need a Zephyr tree."""
    if (Path(os.environ.get("ZEPHYR_BASE", "/nowhere")) / "Kconfig.zephyr").is_file():
        return
    skip = pytest.mark.skip(reason="ZEPHYR_BASE does not name a Zephyr tree")
    for item in items:
        if "zephyr" in item.keywords and item.get_closest_marker("zephyr"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def project_of(tmp_path_factory: pytest.TempPathFactory) -> ProjectOf:
    """(model, board) -> the project, made once."""
    made: dict[tuple[str, str], Made] = {}

    def project(model: str, board: str) -> Made:
        if (model, board) not in made:
            folder = tmp_path_factory.mktemp("projects") / f"{model}-{board}"
            made[model, board] = make(model, board_of(board), folder)
        return made[model, board]

    return project


@pytest.fixture(scope="session")
def built(project_of: ProjectOf) -> ProjectOf:
    """(model, board) -> the project, built once with warnings as errors."""
    made: dict[tuple[str, str], Made] = {}

    def project(model: str, board: str) -> Made:
        if (model, board) not in made:
            made[model, board] = build(project_of(model, board))
        return made[model, board]

    return project
