# SPDX-License-Identifier: Apache-2.0
"""Build and run on this computer: results, and every way in which that fails."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from runner_toy import LAYERS, ProjectOf, make_project

from tinygen.boards import load_board
from tinygen.errors import TinygenError
from tinygen.runner import build, find_toolchain, run
from tinygen.runner.build import compiler_flags
from tinygen.runner.console import Sample, typical
from tinygen.runner.elf import read_elf

HOST = load_board("host")


def test_passes(project_of: ProjectOf) -> None:
    seen: list[tuple[int, int]] = []
    result = run(project_of("host"), HOST, progress=lambda *done: seen.append(done))
    assert result.passed and (result.samples, result.matching) == (12, 12)
    assert result.on == "host" and result.counter == "ns"
    assert [layer.name for layer in result.layers] == list(LAYERS)
    assert all(layer.op == "Toy" and layer.count is not None for layer in result.layers)
    assert result.answers[0].given == result.answers[0].labels and result.accuracy == 1.0
    assert (result.correct, result.labelled) == (12, 12) and not result.note
    assert sum(layer.count or 0 for layer in result.layers) == result.total
    assert result.arena_bytes == 64 and result.flash_bytes > 0
    assert seen == [(i, 12) for i in range(13)]


def test_fewer_samples(project_of: ProjectOf) -> None:
    result = run(project_of("host"), HOST, max_samples=5)
    assert result.passed and result.samples == 5
    with pytest.raises(TinygenError, match="at least 1"):
        run(project_of("host"), HOST, max_samples=0)


def test_one_wrong_byte_is_found(tmp_path: Path) -> None:
    result = run(make_project(tmp_path / "p", HOST, wrong=4), HOST)
    assert not result.passed and (result.samples, result.matching) == (12, 11)
    assert result.mismatch is not None
    assert (result.mismatch.sample, result.mismatch.at) == (4, 1)
    assert result.mismatch.got == result.mismatch.promised ^ 1


def test_sanitizers_and_no_profile(tmp_path: Path) -> None:
    """The options of the project's own CMake file."""
    project = make_project(tmp_path / "p", HOST)
    tools = find_toolchain(HOST)
    if "zig" in tools.version:
        pytest.skip("zig has no address sanitizer")
    options = ["-DTG_SANITIZE=ON", "-DTG_PROFILE=OFF", f"-DCMAKE_MAKE_PROGRAM={tools.ninja}"]
    for command in (
        [tools.cmake, "-G", "Ninja", "-B", "b", *options],
        [tools.cmake, "--build", "b"],
    ):
        subprocess.run(command, cwd=project, check=True, capture_output=True)
    output = subprocess.run(
        [project / "b" / "firmware"], check=True, capture_output=True, text=True
    )
    lines = [json.loads(line) for line in output.stdout.splitlines()]
    assert lines[0]["counter"] == "none"
    assert lines[1]["counts"] == [] and lines[1]["total"] is None
    assert lines[-1]["equal"] == 12


def _by_hand(project: Path, *options: str) -> Path:
    """Build with CMake as README.md says; the program."""
    tools = find_toolchain(HOST)
    for command in (
        [tools.cmake, "-G", "Ninja", "-B", "b", f"-DCMAKE_MAKE_PROGRAM={tools.ninja}", *options],
        [tools.cmake, "--build", "b"],
    ):
        subprocess.run(command, cwd=project, check=True, capture_output=True)
    return project / "b" / "firmware"


def test_a_product_has_no_self_test(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", HOST)
    program = _by_hand(project, "-DTG_SELF_TEST=OFF")
    assert subprocess.run([program], check=True, capture_output=True).stdout == b""
    symbols = read_elf(program).functions
    assert not [name for _, name in symbols if "self_test" in name or "profile" in name]
    assert b"toy_sample_inputs" not in program.read_bytes()


def test_warnings_and_build_types(tmp_path: Path) -> None:
    """By hand a warning is none of ours; tinygen's own builds stop at it."""
    project = make_project(tmp_path / "p", HOST, defines="static int unused_of_mine;")
    program = _by_hand(project, "-DCMAKE_BUILD_TYPE=Debug")
    assert subprocess.run([program], capture_output=True).returncode == 0
    flags = compiler_flags(project / "b")
    assert "-Og" in flags and "-O3" not in flags and "-Werror" not in flags
    with pytest.raises(TinygenError, match="unused_of_mine"):
        run(project, HOST)


def test_which_sample_is_shown() -> None:
    """One whole sample, so that layers add up: the largest, or the median of times."""
    rows = [(9, 90), (1, 20), (8, 8), (6, 5)]
    samples = [
        Sample(i=i, equal=True, argmax=0, label=-1, total=sum(row), counts=row)
        for i, row in enumerate(rows)
    ]
    for counter, expected in (("cycles", 0), ("ns", 2)):
        shown = typical(samples, counter)
        assert shown is not None and shown.i == expected
    assert typical(samples[:1], "ns") is samples[0]
    assert typical([], "ns") is None


def test_rebuild_after_an_edit_and_a_move(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", HOST, samples=2)
    tools = find_toolchain(HOST)
    first = build(project, HOST, tools)
    assert first.elf == project / "build" / "host" / "firmware" and "-O3" in first.flags
    moved = tmp_path / "q"
    shutil.move(project, moved)
    source = moved / "src" / "model" / "toy.c"
    source.write_text(source.read_text().replace("& 255) - 128", "& 255) - 127"))
    assert run(moved, HOST).matching == 0


def test_a_compiler_error_is_one_line(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", HOST, defines="#error of mine")
    with pytest.raises(TinygenError, match=r"building .* failed: .*toy\.c:1:.*of mine") as e:
        run(project, HOST)
    assert "\n" not in str(e.value)


def test_a_linker_error_is_named(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", HOST)
    (project / "sources.cmake").write_text(
        "set(TG_SOURCES src/model/toy_samples.c)\ninclude_directories(include)\n"
    )
    with pytest.raises(TinygenError, match="undefined"):
        run(project, HOST)


def test_crash_and_hang(tmp_path: Path) -> None:
    crash = make_project(tmp_path / "crash", HOST, defines="#define TOY_CRASH 0xdead0000")
    with pytest.raises(TinygenError, match="ended with status -11 before its self-test did"):
        run(crash, HOST)
    hang = make_project(tmp_path / "hang", HOST, defines="#define TOY_HANG")
    with pytest.raises(TinygenError, match="did not end within 1 s: it finished 0 of 12 samples"):
        run(hang, HOST, timeout=1)


def test_not_a_project(tmp_path: Path) -> None:
    with pytest.raises(TinygenError, match="not a tinygen project"):
        run(tmp_path, HOST)
    (tmp_path / "tinygen.json").write_text('{"board": "host"}')
    with pytest.raises(TinygenError, match="damaged"):
        run(tmp_path, HOST)


def test_wrong_board_or_place(project_of: ProjectOf) -> None:
    with pytest.raises(TinygenError, match="made for board host, not mps2_an500"):
        run(project_of("host"), load_board("mps2_an500"))
    with pytest.raises(TinygenError, match="runs on the host, not on qemu"):
        run(project_of("host"), HOST, "qemu")
    with pytest.raises(TinygenError, match="runs on qemu or unicorn, not on host"):
        run(project_of("mps2_an500"), load_board("mps2_an500"), "host")
