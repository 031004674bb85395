# SPDX-License-Identifier: Apache-2.0
"""`tinygen update`: the user's edits stay, edits of generated files are noticed."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tinygen.boards import load_board
from tinygen.errors import TinygenError
from tinygen.project import Request, new_project, update_project

EXAMPLES = Path(__file__).parents[2] / "example_models"
DIGITS = EXAMPLES / "digits"
RETRAINED = EXAMPLES / "activity"  # another network altogether: more than retraining may change


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    board = load_board("nucleo_h743zi")
    new_project(Request(board, DIGITS / "model.onnx", DIGITS / "samples.npz", folder, self_test=4))
    return folder


def update(folder: Path, force: bool = False) -> set[str]:
    model, samples = RETRAINED / "model.onnx", RETRAINED / "samples.npz"
    return set(update_project(folder, model, samples, self_test=4, force=force).written)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_the_new_model_is_there_under_the_old_names(project: Path) -> None:
    written = update(project)
    assert "src/model/digits_weights.c" in written
    assert "src/main.c" not in written  # the same for every model of that name
    manifest = json.loads((project / "tinygen.json").read_text())
    model = hashlib.sha256((RETRAINED / "model.onnx").read_bytes()).hexdigest()
    assert manifest["model_hash"] == model
    assert model in (project / "src/model/digits.c").read_text()


def test_it_equals_a_project_made_anew(project: Path, tmp_path: Path) -> None:
    update(project)
    fresh = tmp_path / "fresh" / "app"
    model, samples = RETRAINED / "model.onnx", RETRAINED / "samples.npz"
    board = load_board("nucleo_h743zi")
    new_project(Request(board, model, samples, fresh, name="digits", self_test=4))
    assert contents(project) == contents(fresh)


def test_edits_of_the_user_stay(project: Path) -> None:
    main, prj = project / "src/main.c", project / "zephyr/prj.conf"
    for file in (main, prj):
        file.write_text(file.read_text() + "/* mine */\n")
    own = project / "src/sensor.c"
    own.write_text("int sensor;\n")
    app = project / "app.cmake"
    app.write_text(app.read_text().replace("  src/main.c\n", "  src/main.c\n  src/sensor.c\n"))
    update(project)
    assert main.read_text().endswith("/* mine */\n")
    assert prj.read_text().endswith("/* mine */\n")
    assert own.read_text() == "int sensor;\n"
    listed = {line.strip() for line in app.read_text().splitlines() if line.endswith(".c")}
    assert listed == {str(f.relative_to(project)) for f in (project / "src").rglob("*.c")}
    update_project(project, DIGITS / "model.onnx", self_test=4)  # and once more
    assert "src/sensor.c" in app.read_text()


@pytest.mark.parametrize("name", ("src/model/digits.c", "src/tinygen/include/tinygen/linear.h"))
def test_an_edited_generated_file_is_noticed(project: Path, name: str) -> None:
    file = project / name
    edited = file.read_text() + "/* quick fix */\n"
    file.write_text(edited)
    before = contents(project)
    with pytest.raises(TinygenError, match=name):
        update(project)
    assert contents(project) == before
    update(project, force=True)
    assert "quick fix" not in file.read_text()
    assert file.with_name(f"{file.name}.orig").read_text() == edited


def test_an_edited_list_of_our_sources_is_noticed(project: Path) -> None:
    app = project / "app.cmake"
    app.write_text(app.read_text().replace("  src/model/digits_arena.c\n", ""))
    with pytest.raises(TinygenError, match=r"app\.cmake"):
        update(project)
    app.write_text(app.read_text().replace("# <<< tinygen", ""))
    with pytest.raises(TinygenError, match="put them back"):
        update(project)


def test_sources_that_are_no_longer_needed_go(project: Path) -> None:
    extra = project / "src/tinygen/src/portable/old.c"
    extra.write_text("int old;\n")
    manifest = project / "tinygen.json"
    record = json.loads(manifest.read_text())
    record["files"]["src/tinygen/src/portable/old.c"] = hashlib.sha256(b"int old;\n").hexdigest()
    manifest.write_text(json.dumps(record))
    update(project)
    assert not extra.exists()


def test_a_project_for_a_board_file_remembers_it(tmp_path: Path) -> None:
    board = load_board("nucleo_l476rg").model_copy(update={"name": "my_own_board"})
    folder = tmp_path / "app"
    new_project(Request(board, DIGITS / "model.onnx", None, folder, self_test=2))
    update(folder)
    assert json.loads((folder / "tinygen.json").read_text())["board"] == "my_own_board"


def as_it_was(project: Path) -> None:
    """Headers beside the sources, as versions before include/tinygen_model made projects."""
    manifest = project / "tinygen.json"
    record = json.loads(manifest.read_text())
    for file in sorted((project / "include/tinygen_model").iterdir()):
        old = f"src/model/{file.name}"
        file.rename(project / old)
        record["files"][old] = record["files"].pop(f"include/tinygen_model/{file.name}")
    shutil.rmtree(project / "include")
    main = project / "src/main.c"
    main.write_text(main.read_text().replace("tinygen_model/digits.h", "digits.h"))
    record["files"]["src/main.c"] = hashlib.sha256(main.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(record))


def test_an_older_project_says_where_the_header_is(project: Path) -> None:
    as_it_was(project)
    main = project / "src/main.c"
    main.write_text(main.read_text() + "/* mine */\n")
    (project / "src/other.c").write_text("  #  include <digits_samples.h>\n")
    (project / "src/apart.c").write_text('#include "mydigits.h"\n#include "sub/digits.h"\n')
    model, samples = RETRAINED / "model.onnx", RETRAINED / "samples.npz"
    updated = update_project(project, model, samples, self_test=4)
    assert updated.note == (
        'the model\'s header has moved: write #include "tinygen_model/digits.h" in src/main.c, '
        "src/other.c"
    )
    assert "src/model/digits.h" in updated.removed
    assert (project / "include/tinygen_model/digits.h").is_file()
    assert not update_project(project, model, samples, self_test=4).note


def test_an_older_project_that_nobody_edited_needs_nothing(project: Path) -> None:
    as_it_was(project)
    model, samples = RETRAINED / "model.onnx", RETRAINED / "samples.npz"
    updated = update_project(project, model, samples, self_test=4)
    assert not updated.note and "src/main.c" in updated.written
    assert "tinygen_model/digits.h" in (project / "src/main.c").read_text()


def test_what_is_no_project(tmp_path: Path) -> None:
    with pytest.raises(TinygenError, match="not a tinygen project"):
        update(tmp_path)


def test_the_command(project: Path) -> None:
    command = [sys.executable, "-m", "tinygen", "update", str(project), "--json"]
    done = subprocess.run(
        [*command, "--model", str(RETRAINED / "model.onnx")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "src/model/digits.c" in json.loads(done.stdout)["written"]
