# SPDX-License-Identifier: Apache-2.0
"""The main job on every example: bit-equal to the reference wherever it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinygen import runner
from tinygen.boards import load_board
from tinygen.errors import TinygenError
from tinygen.project import Request, new_project

EXAMPLES = Path(__file__).parents[2] / "example_models"
MODELS = {
    "digits": EXAMPLES / "digits",
    "activity": EXAMPLES / "activity",
    "eegformer": EXAMPLES / "paper_shapes" / "eegformer",
    "ecgformer": EXAMPLES / "paper_shapes" / "ecgformer",
    "tinyradar": EXAMPLES / "paper_shapes" / "tinyradar",
}
BOARDS = ("mps2_an500", "mps2_an386")


def project(name: str, board: str, folder: Path, samples: int = 10_000) -> Path:
    path = MODELS[name]
    request = Request(
        load_board(board), path / "model.onnx", path / "samples.npz", folder, self_test=samples
    )
    new_project(request)
    return folder


def run(folder: Path, board: str, on: runner.Place) -> runner.RunResult:
    try:
        return runner.run(folder, load_board(board), on)
    except TinygenError as e:
        if "found" in str(e):
            pytest.skip(str(e))
        raise


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_sample_on_the_host(name: str, tmp_path: Path) -> None:
    result = run(project(name, "host", tmp_path / name), "host", "host")
    assert result.passed
    assert result.matching == result.samples >= 40


@pytest.mark.slow
@pytest.mark.emulated
@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("name", MODELS)
def test_32_samples_in_qemu(name: str, board: str, tmp_path: Path) -> None:
    result = run(project(name, board, tmp_path / name, 32), board, "qemu")
    assert result.passed
    assert result.matching == 32
    assert result.counter == "instructions"
    assert all(layer.count is not None for layer in result.layers)


@pytest.mark.slow
@pytest.mark.emulated
@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("name", MODELS)
def test_8_samples_in_unicorn(name: str, board: str, tmp_path: Path) -> None:
    result = run(project(name, board, tmp_path / name, 8), board, "unicorn")
    assert result.passed
    assert result.matching == 8
