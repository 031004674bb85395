# SPDX-License-Identifier: Apache-2.0
"""Every refusal is one sentence on stderr, exit status 1, and leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinygen.resources import resource

DIGITS = resource("example_models/digits")


def tinygen(*args: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tinygen", *map(str, args)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """One sentence that holds these words, status 1, no traceback."""
    assert done.returncode == 1, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("tinygen: ")
    for word in words:
        assert word.lower() in lines[0].lower(), (word, lines[0])


def new(model: Path, cwd: Path, *more: str | Path) -> subprocess.CompletedProcess[str]:
    board = () if "--board" in more else ("--board", "mps2_an500")
    return tinygen("new", "out", "--model", model, *board, *more, cwd=cwd)


def nothing_written(folder: Path, *kept: str) -> None:
    assert sorted(p.name for p in folder.iterdir()) == sorted(kept)


def test_truncated_file(tmp_path: Path) -> None:
    whole = (DIGITS / "model.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    refused(new(Path("cut.onnx"), tmp_path), "cut.onnx")
    nothing_written(tmp_path, "cut.onnx")


def test_not_an_onnx_file(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("hello, this is not a model\n")
    refused(new(Path("text.onnx"), tmp_path), "text.onnx", "onnx")
    nothing_written(tmp_path, "text.onnx")


def test_missing_file(tmp_path: Path) -> None:
    refused(new(Path("nowhere.onnx"), tmp_path), "nowhere.onnx")
    nothing_written(tmp_path)


def test_float_only_model(tmp_path: Path) -> None:
    float_model = Path(__file__).parents[2] / "example_models" / "digits" / "float.onnx"
    refused(new(float_model, tmp_path), "float.onnx", "quantize")
    nothing_written(tmp_path)


def test_unknown_board(tmp_path: Path) -> None:
    refused(new(DIGITS / "model.onnx", tmp_path, "--board", "esp8266"), "esp8266", "mps2_an500")
    nothing_written(tmp_path)


def test_fused_weights_that_cannot_be_had(tmp_path: Path) -> None:
    asked = ("--attention", "fused")
    refused(new(DIGITS / "model.onnx", tmp_path, *asked), "--attention fused", "--samples")
    nothing_written(tmp_path)


def test_template_that_the_board_has_not(tmp_path: Path) -> None:
    done = new(DIGITS / "model.onnx", tmp_path, "--board", "host", "--template", "nuttx")
    refused(done, "host", "nuttx", "baremetal")
    nothing_written(tmp_path)


def test_folder_that_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep me")
    refused(new(DIGITS / "model.onnx", tmp_path), "out", "not empty")
    nothing_written(tmp_path / "out", "mine.txt")


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": np.zeros((3, 9, 8), np.float32)}, ("shape", "8, 8")),
        ({"images": np.zeros((3, 8, 8), np.float32)}, ("x",)),
        ({"x": np.full((3, 8, 8), np.nan, np.float32)}, ("x",)),
        ({"x": np.zeros((0, 8, 8), np.float32)}, ("x",)),
        ({"x": np.zeros((3, 8, 8), np.float32), "y": np.zeros(2, np.int64)}, ("y",)),
        ({"x": np.zeros((3, 8, 8), np.float32), "y": np.full(3, 10)}, ("labels", "10 outputs")),
    ],
)
def test_unfit_samples(
    tmp_path: Path, arrays: dict[str, np.ndarray], words: tuple[str, ...]
) -> None:
    np.savez(tmp_path / "s.npz", **arrays)
    refused(new(DIGITS / "model.onnx", tmp_path, "--samples", "s.npz"), "s.npz", *words)
    nothing_written(tmp_path, "s.npz")


def test_samples_as_a_bare_array(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", np.zeros((3, 8, 8), np.float32))
    refused(new(DIGITS / "model.onnx", tmp_path, "--samples", "s.npy"), "s.npy", "savez")


def test_folder_that_cmake_cannot_take(tmp_path: Path) -> None:
    refused(tinygen("new", "a;b", "--board", "host", cwd=tmp_path), "a;b", "CMake")
    nothing_written(tmp_path)


def test_samples_that_are_no_archive(tmp_path: Path) -> None:
    (tmp_path / "s.npz").write_text("no")
    refused(new(DIGITS / "model.onnx", tmp_path, "--samples", "s.npz"), "s.npz")


BOARD = """
name: tiny
title: too small
core: {cpu: cortex-m7, target: armv7em, clock_hz: 1000000}
memory:
  - {name: flash, kind: flash, base: 0x0, size: %d}
  - {name: ram, kind: ram, base: 0x20000000, size: %d}
templates: [baremetal]
"""


@pytest.mark.parametrize(("flash", "ram", "word"), [(8192, 65536, "flash"), (65536, 600, "RAM")])
def test_model_too_large_for_the_board(tmp_path: Path, flash: int, ram: int, word: str) -> None:
    (tmp_path / "tiny.yaml").write_text(BOARD % (flash, ram))
    refused(new(DIGITS / "model.onnx", tmp_path, "--board", "tiny.yaml"), "node", "tiny", word)
    nothing_written(tmp_path, "tiny.yaml")


def test_unreadable_board_description(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text((BOARD % (8192, 8192)).replace("clock_hz", "clock"))
    refused(new(DIGITS / "model.onnx", tmp_path, "--board", "tiny.yaml"), "tiny.yaml", "clock")


def test_run_on_a_folder_that_is_no_project(tmp_path: Path) -> None:
    refused(tinygen("run", tmp_path, cwd=tmp_path), "tinygen.json")


def test_usage_errors_have_status_2(tmp_path: Path) -> None:
    assert tinygen("new", cwd=tmp_path).returncode == 2
    assert tinygen("frobnicate", cwd=tmp_path).returncode == 2
    assert tinygen("run", tmp_path, "--on", "moon", cwd=tmp_path).returncode == 2
    both = ("--attention", "fused,fused-scores")
    assert tinygen("inspect", DIGITS / "model.onnx", *both, cwd=tmp_path).returncode == 2
