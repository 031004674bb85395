# SPDX-License-Identifier: Apache-2.0
"""A project whose tinygen.json or plan.json was damaged: one sentence, whatever they hold."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tinygen.boards import load_board
from tinygen.errors import TinygenError
from tinygen.names import check_folder
from tinygen.project import Request, new_project, update_project
from tinygen.report import page
from tinygen.runner import read_project

MODEL = Path(__file__).parents[2] / "example_models/digits/model.onnx"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("damaged") / "app"
    new_project(Request(load_board("host"), MODEL, None, folder, self_test=1))
    return folder


TEXTS = ("", "{", "[]", "3", "null", '"x"', "{}", "[" * 5000, "\xff")


@pytest.fixture
def damaged(project: Path, tmp_path: Path) -> Path:
    """A folder with both files of a project."""
    for name in ("tinygen.json", "plan.json"):
        (tmp_path / name).write_bytes((project / name).read_bytes())
    return tmp_path


@pytest.mark.parametrize("text", TEXTS, ids=lambda t: t[:9])
def test_no_json_or_no_record(text: str, damaged: Path) -> None:
    for name in ("tinygen.json", "plan.json"):
        (damaged / name).write_text(text, encoding="latin-1")
    for command in (
        lambda: update_project(damaged, MODEL),
        lambda: read_project(damaged),
        lambda: page.write_page(damaged),
    ):
        with pytest.raises(TinygenError) as refusal:
            command()
        assert "\n" not in str(refusal.value)
        assert ".json" in str(refusal.value)
    assert sorted(f.name for f in damaged.iterdir()) == ["plan.json", "tinygen.json"]


CHANGES: tuple[tuple[str, Any], ...] = (
    ("board", 3),
    ("model", "../x"),
    ("model", "Digits X"),
    ("model", "int"),
    ("files", []),
    ("files", {"a": 3}),
    ("files", {"src/model/../../../x": "0"}),
    ("files", {"/etc/x": "0"}),
    ("options", 3),
    ("options", {"nonsense": 1}),
    ("options", {"attention": "zzz"}),
    ("template", "nope"),
    ("board_description", 3),
    ("board_description", {"name": "x"}),
)


@pytest.mark.parametrize(("field", "value"), CHANGES, ids=str)
def test_a_field_that_cannot_be(field: str, value: Any, damaged: Path) -> None:
    manifest = damaged / "tinygen.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {field: value}))
    with pytest.raises(TinygenError, match=r"tinygen\.json.*" + field):
        update_project(damaged, MODEL)
    assert sorted(f.name for f in damaged.iterdir()) == ["plan.json", "tinygen.json"]


def test_nothing_outside_of_the_project_is_removed(project: Path, damaged: Path) -> None:
    """A path that begins as ours do and leads away."""
    victim = damaged / "victim.c"
    victim.write_text("int mine;\n")
    inner = damaged / "inner"
    inner.mkdir()
    record = json.loads((damaged / "tinygen.json").read_text())
    record["files"]["src/model/../../../victim.c"] = "0"
    (inner / "tinygen.json").write_text(json.dumps(record))
    with pytest.raises(TinygenError, match="outside of the project"):
        update_project(inner, MODEL, force=True)
    assert victim.is_file()


def test_a_link_to_itself(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(TinygenError, match="leads nowhere"):
        check_folder(tmp_path / "loop")
    for command in (read_project, page.write_page):
        with pytest.raises(TinygenError):
            command(tmp_path / "loop")


@pytest.mark.skipif(
    os.name != "posix", reason="a file where a folder is expected, as POSIX says it"
)
def test_a_file_instead_of_a_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    for command in (read_project, page.write_page, lambda f: update_project(f, MODEL)):
        with pytest.raises(TinygenError, match="file"):
            command(file)
