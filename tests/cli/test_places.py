# SPDX-License-Identifier: Apache-2.0
"""Folders of any name, terminals of any encoding: it works, or one sentence says why not."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

MODEL = Path(__file__).parents[2] / "example_models/digits/model.onnx"
ANYWHERE = (
    "a{{b}}",
    "a{% raw %}b",
    "{{cookiecutter.model}}",
    "a{% if x %}b",
    "a b",
    "-x",
    "--board",
    "grüß",
    "it's",
    "a&b(c)*~`!,:=^",
    "~",
    "%x",
)
ZEPHYR = ("a{{b}}", "{{cookiecutter.model}}", "-x", "--board", "grüß", "a~!@+^=", "~")
"""Zephyr's build takes fewer."""
NOT_ZEPHYR = ("a b", "`", "it's", "a&b", "(", "a,b", "a:b", "100%", "*")


def tinygen(*args: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Bytes, because the encoding is what is tested."""
    command = [sys.executable, "-m", "tinygen", *args]
    env = {**os.environ, **environment}
    return subprocess.run(command, cwd=cwd, capture_output=True, timeout=120, env=env)


def made(folder: str, cwd: Path, board: str = "nucleo_h743zi") -> str:
    """What `tinygen new` printed."""
    done = tinygen("new", "--board", board, "--self-test", "1", "--", folder, cwd=cwd)
    assert done.returncode == 0, done.stderr.decode()
    assert (cwd / folder / "tinygen.json").is_file()
    return done.stdout.decode()


def next_step(printed: str) -> str:
    (step,) = (line for line in printed.splitlines() if line.startswith("Next: "))
    return step.removeprefix("Next: ")


@pytest.mark.parametrize("folder", ANYWHERE)
def test_a_folder_of_any_name(folder: str, tmp_path: Path) -> None:
    printed = made(folder, tmp_path, "host")
    assert [f.name for f in tmp_path.iterdir()] == [folder]
    tinygen_, run, place = shlex.split(next_step(printed))
    assert (tinygen_, run) == ("tinygen", "run")
    assert place == (f"./{folder}" if folder.startswith("-") else folder)


@pytest.mark.parametrize("folder", ZEPHYR)
def test_a_zephyr_project_of_any_name(folder: str, tmp_path: Path) -> None:
    printed = made(folder, tmp_path)
    assert [f.name for f in tmp_path.iterdir()] == [folder]
    west = yaml.safe_load((tmp_path / folder / "zephyr/west.yml").read_text())
    assert west["manifest"]["self"]["path"] == folder
    cd = next_step(printed).split(" && ")[0]  # the next step is a command that goes there
    there = subprocess.run(["sh", "-c", f"{cd} && pwd"], cwd=tmp_path, capture_output=True)
    assert Path(there.stdout.decode().rstrip("\n")) == tmp_path / folder
    readme = (tmp_path / folder / "README.md").read_text()
    (init,) = (line for line in readme.splitlines() if line.startswith("west init"))
    taken = shlex.split(init, comments=True)[-1]
    assert taken == (f"./{folder}" if folder.startswith("-") else folder)


@pytest.mark.parametrize("folder", NOT_ZEPHYR)
def test_a_folder_that_zephyr_cannot_build_in(folder: str, tmp_path: Path) -> None:
    for kind in ("app", "module"):
        command = ("new", "--board", "nucleo_h743zi", "--as", kind, folder)
        done = tinygen(*command, cwd=tmp_path)
        assert done.returncode == 1
        assert done.stderr.startswith(b"tinygen: ") and done.stderr.count(b"\n") == 1
        assert b"Zephyr cannot build in a folder whose path" in done.stderr
    assert not list(tmp_path.iterdir())


def test_an_update_in_a_folder_with_braces(tmp_path: Path) -> None:
    made("a{{b}}", tmp_path)
    done = tinygen("update", "a{{b}}", "--model", str(MODEL), "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["kept"] == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a name is always text")
def test_a_folder_whose_name_is_no_text(tmp_path: Path) -> None:
    name = os.fsdecode(b"a\xff")
    done = tinygen("new", name, "--board", "host", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(b"tinygen: ") and b"no UTF-8" in done.stderr
    assert done.stderr.count(b"\n") == 1


TERMINALS = (
    {"LC_ALL": "C"},
    {"LC_ALL": "C", "PYTHONUTF8": "0"},
    {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "latin-1"},
)


@pytest.mark.parametrize("terminal", TERMINALS, ids=str)
def test_a_terminal_without_the_signs(terminal: dict[str, str], tmp_path: Path) -> None:
    """Tables, notes and errors, in a folder with an umlaut and of a board with one."""
    place = tmp_path / "grüß"
    place.mkdir()
    board = place / "eigenes.yaml"
    board.write_text(
        "name: own\ntitle: größer ≈ besser\n"
        "core: {cpu: cortex-m7, target: armv7em, clock_hz: 1000000}\n"
        "memory:\n"
        "  - {name: flash, kind: flash, base: 0, size: 0x100000}\n"
        "  - {name: ram, kind: ram, base: 0x20000000, size: 0x20000}\n"
        "templates: [baremetal]\n",
        encoding="utf-8",
    )
    here = str(place / "app")
    for command in (
        ("boards",),
        ("inspect", str(MODEL), "--board", str(board)),
        ("new", here, "--board", str(board), "--self-test", "1"),
        ("update", here, "--model", str(MODEL)),
        ("report", here),
        ("doctor",),
    ):
        done = tinygen(*command, cwd=place, **terminal)
        assert done.returncode == 0, (command, done.stderr.decode(errors="replace"))
    assert "größer ≈ besser" in (place / "app/src/main.c").read_text(encoding="utf-8") or (
        "größer ≈ besser" in (place / "app/README.md").read_text(encoding="utf-8")
    )
    done = tinygen("run", str(place / "nowhere"), cwd=place, **terminal)
    assert done.returncode == 1 and b"Traceback" not in done.stderr
