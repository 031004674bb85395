# SPDX-License-Identifier: Apache-2.0
"""A firmware carries as many samples as its flash holds beside the model."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinygen.boards import load_board
from tinygen.project import Request, new_project
from tinygen.project.room import samples_that_fit

EEGFORMER = Path(__file__).parents[2] / "example_models/paper_shapes/eegformer"


@pytest.mark.parametrize("board, fewer", (("nucleo_g071rb", True), ("nucleo_f401re", False)))
def test_samples_fill_the_flash(board: str, fewer: bool, tmp_path: Path) -> None:
    made = new_project(
        Request(
            load_board(board), EEGFORMER / "model.onnx", EEGFORMER / "samples.npz", tmp_path / "a"
        )
    )
    assert (made.samples < 32) == fewer
    sample = 81 * 32 + 2 + 4  # input, output, label
    room = made.plan.board.flash[0].usable - made.plan.flash_bytes
    assert made.samples * sample <= room
    assert not fewer or (made.samples + 1) * sample > room
    assert samples_that_fit(made.plan, 10**9, 32) == 1
