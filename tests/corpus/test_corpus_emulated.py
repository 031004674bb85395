# SPDX-License-Identifier: Apache-2.0
"""One model of each form, as a firmware project on the emulated Cortex-M7: the promised bits."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.test_corpus import MODELS, SUPPORTED
from tinygen import runner
from tinygen.boards import load_board
from tinygen.project import Request, new_project
from tinygen.runner.toolchain import find_qemu, has_unicorn

BOARD = "mps2_an500"
FORMS = {name.split("-")[1]: name for name in reversed(SUPPORTED)}


@pytest.mark.emulated
@pytest.mark.parametrize("form", sorted(FORMS))
def test_form_on_the_m7(form: str, tmp_path: Path) -> None:
    """In QEMU, without it in Unicorn."""
    place: runner.Place = "qemu" if find_qemu() else "unicorn"
    if place == "unicorn" and not has_unicorn():
        pytest.skip("neither qemu-system-arm nor PyPI's unicorn is installed")
    board, name = load_board(BOARD), FORMS[form]
    data, folder = MODELS / f"{name}.npz", tmp_path / "app"
    new_project(Request(board, MODELS / f"{name}.onnx", data, folder, self_test=4))
    result = runner.run(folder, board, place)
    assert result.passed and result.matching == result.samples == 4
    assert result.counter == "instructions"
