# SPDX-License-Identifier: Apache-2.0
"""`tinygen run` of a project whose image is there: what it shows, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from chip_firmware import Build

from tinygen import runner
from tinygen.boards import Board, load_board
from tinygen.boards.chip import chip_of, load_chip
from tinygen.errors import TinygenError
from tinygen.runner.chip.native import cache_folder

pytestmark = pytest.mark.emulated


def write_project(folder: Path, board: str = "nucleo_h743zi", **changes: Any) -> Path:
    """What the firmware's scenario `hello` belongs to."""
    folder.mkdir()
    described = {
        "board": board,
        "model": "toy",
        "template": "zephyr",
        "model_hash": "abc",
        "layers": [{"name": "a", "op": "linear", "instructions": 50, "cycles": 60}],
        "arena_bytes": 64,
    }
    (folder / "tinygen.json").write_text(json.dumps({**described, **changes}))
    return folder


def run(project: Path, elf: Path, **arguments: Any) -> runner.RunResult:
    board = runner.read_project(project).load_board()
    return runner.run(project, board, elf=elf, **arguments)


def test_counts_of_the_image(build: Build, tmp_path: Path) -> None:
    result = run(write_project(tmp_path / "app"), build("stm32h7", "hello"))
    assert result.passed and result.on == "chip"
    assert (result.samples, result.matching, result.stack) == (1, 1, 100)
    assert result.counter == "instructions"
    assert [(c.name, c.count, c.cycles) for c in result.layers] == [("a", 100, 120)]


def test_samples_stop_the_image(build: Build, tmp_path: Path) -> None:
    result = run(write_project(tmp_path / "app"), build("stm32h7", "hello"), max_samples=1)
    assert result.passed and result.samples == 1
    assert result.stack is None  # its last line was not waited for


def test_the_command_line(build: Build, tmp_path: Path) -> None:
    project = write_project(tmp_path / "app")
    command = [sys.executable, "-m", "tinygen", "run", str(project), "--json"]
    done = subprocess.run(
        [*command, "--elf", str(build("stm32h7", "hello"))], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["on"] == "chip" and record["total"] == 100
    assert json.loads((project / "build/run.json").read_text()) == record


def test_profile_shows_what_was_counted(build: Build, tmp_path: Path) -> None:
    project = write_project(tmp_path / "app")
    command = [sys.executable, "-m", "tinygen"]
    subprocess.run(
        [*command, "run", str(project), "--elf", str(build("stm32h7", "hello"))], check=True
    )
    lines = [
        {"tg": "boot", "model": "toy", "hash": "abc", "generator": "0", "layers": 1},
        {"tg": "sample", "i": 0, "equal": True, "argmax": 1, "label": 1, "total": 130},
        {"tg": "done", "samples": 1, "equal": 1, "stack": 100},
    ]
    lines[0] |= {"samples": 1, "counter": "cycles"}
    lines[1] |= {"counts": [130]}
    log = tmp_path / "log.txt"
    log.write_text("\n".join(json.dumps(line, separators=(",", ":")) for line in lines) + "\n")
    for _ in range(2):  # the first keeps the counts for the second
        done = subprocess.run(
            [*command, "profile", str(project), "--log", str(log), "--json"],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        (layer,) = json.loads(done.stdout)["layers"]
        assert (layer["counted"], layer["predicted"], layer["count"]) == (100, 60, 130)


def test_an_image_that_platformio_built_runs_without_a_tree(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ZEPHYR_BASE", raising=False)
    project = write_project(tmp_path / "app")
    image = project / ".pio/build/nucleo_h743zi/firmware.elf"
    image.parent.mkdir(parents=True)
    image.write_bytes(build("stm32h7", "hello").read_bytes())
    result = runner.run(project, load_board("nucleo_h743zi"))
    assert result.passed and result.elf == image
    assert "no Zephyr tree" in result.note


def test_without_a_tree_and_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZEPHYR_BASE", raising=False)
    with pytest.raises(TinygenError, match="no Zephyr found"):
        runner.run(write_project(tmp_path / "app"), load_board("nucleo_h743zi"))


# ---- What is refused ----


@pytest.mark.parametrize("length", (0, 3, 40, 600, 5000))
def test_a_damaged_file(length: int, build: Build, tmp_path: Path) -> None:
    bad = tmp_path / "bad.elf"
    bad.write_bytes(build("stm32h7", "hello").read_bytes()[:length])
    with pytest.raises(TinygenError, match=r"bad\.elf"):
        run(write_project(tmp_path / "app"), bad)


def test_an_image_of_this_computer(tmp_path: Path) -> None:
    with pytest.raises(TinygenError, match=r"not for a 32-bit Arm core|damaged"):
        run(write_project(tmp_path / "app"), Path(sys.executable).resolve())


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TinygenError, match=r"nowhere\.elf is not there"):
        run(write_project(tmp_path / "app"), tmp_path / "nowhere.elf")


def test_an_image_of_another_model(build: Build, tmp_path: Path) -> None:
    project = write_project(tmp_path / "app", model_hash="other")
    with pytest.raises(TinygenError, match="carries toy of hash abc"):
        run(project, build("stm32h7", "hello"))


def test_an_image_for_other_memories(build: Build, tmp_path: Path) -> None:
    project = write_project(tmp_path / "app", "nucleo_f401re")
    elf = build("stm32h7", "hello")  # its stack lies beyond the F401's RAM
    with pytest.raises(TinygenError, match=r"where nucleo_f401re starts|has no memory"):
        run(project, elf)


def test_an_image_of_another_zephyr_board(build: Build, tmp_path: Path) -> None:
    """Zephyr's images hold the names of their options."""
    named = tmp_path / "named.elf"
    named.write_bytes(build("stm32h7", "hello").read_bytes() + b"\0CONFIG_BOARD_NUCLEO_X\0")
    with pytest.raises(TinygenError, match="Zephyr's board nucleo_x, not for nucleo_h743zi"):
        run(write_project(tmp_path / "app"), named)


@pytest.mark.parametrize("on", ("qemu", "host"))
def test_an_image_runs_on_a_chip_only(on: str, build: Build, tmp_path: Path) -> None:
    with pytest.raises(TinygenError, match="--elf names the image of a chip"):
        run(write_project(tmp_path / "app"), build("stm32h7", "hello"), on=on)


def test_a_board_without_a_model(tmp_path: Path) -> None:
    project = write_project(tmp_path / "app", "mps2_an386")
    with pytest.raises(TinygenError, match="has no model of its chip"):
        runner.run(project, load_board("mps2_an386"), on="chip")


def test_a_project_that_is_not_zephyrs(tmp_path: Path) -> None:
    project = write_project(tmp_path / "app", template="baremetal")
    with pytest.raises(TinygenError, match="is no Zephyr project"):
        runner.run(project, load_board("nucleo_h743zi"), on="chip")


def test_no_compiler_and_a_cache_that_cannot_be_written(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elf, project = build("stm32h7", "hello"), write_project(tmp_path / "app")
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert cache_folder() == blocked / "tinygen"
    with pytest.raises(TinygenError, match="set XDG_CACHE_HOME"):
        run(project, elf)
    monkeypatch.setattr("tinygen.runner.chip.native.find_host_compiler", lambda: None)
    with pytest.raises(TinygenError, match="no compiler for this computer"):
        run(project, elf)


def test_a_core_that_the_family_has_not(build: Build, tmp_path: Path) -> None:
    described = load_board("nucleo_h743zi").model_dump(mode="json")
    described["emulation"]["chip"] = "stm32l4"
    project = write_project(tmp_path / "app", board_description=described)
    with pytest.raises(TinygenError, match="cortex-m7, and stm32l4 has a cortex-m4"):
        run(project, build("stm32h7", "hello"))


def test_memories_that_overlap_are_mapped_once(build: Build, tmp_path: Path) -> None:
    """A board's file may describe what the family's file has too."""
    described = load_board("nucleo_h743zi").model_dump(mode="json")
    region = {"name": "backup", "kind": "ram", "base": 0x38800400, "size": 0x2000}
    described["memory"].append(region)
    project = write_project(tmp_path / "app", board_description=described)
    assert run(project, build("stm32h7", "hello")).passed


# ---- The families' files ----


def test_an_older_project_takes_the_chip_of_the_shipped_board() -> None:
    shipped = load_board("nucleo_h743zi").model_dump(mode="json")
    del shipped["emulation"]
    assert chip_of(Board.model_validate(shipped)) == "stm32h7"
    assert chip_of(Board.model_validate({**shipped, "name": "mine", "aliases": ()})) is None


def test_an_unknown_family() -> None:
    with pytest.raises(TinygenError, match=r"unknown chip 'stm32x9'.*stm32h7"):
        load_chip("stm32x9")


@pytest.mark.parametrize(
    "change, what",
    (
        ("usart: other", "usart"),
        ("mpu: -1", "mpu"),
        ("ready: [{register: 0x10, bits: {40: 1}}]", "ready.0.bits"),
        ("speed: 3", "speed"),
        ("mpu: [", "not a readable chip description"),
    ),
)
def test_a_family_with_a_mistake(change: str, what: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    text = "name: mine\ntitle: Mine\ncores: [cortex-m4]\nuarts: {}\nusart: sr-dr\n"
    key = change.split(":")[0]
    kept = [line for line in text.splitlines() if not line.startswith(key)]
    path.write_text("\n".join([*kept, change]) + "\n")
    with pytest.raises(TinygenError, match=rf"mine\.yaml.*{what}"):
        load_chip(str(path))
