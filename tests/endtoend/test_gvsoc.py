# SPDX-License-Identifier: Apache-2.0
"""The examples on eight cores in GVSoC (`TINYGEN_PULP_SDK`: a script that sets up the SDK)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinygen import runner
from tinygen.boards import load_board
from tinygen.project import Request, new_project
from tinygen.runner.toolchain import PULP_SDK, find_pulp_sdk

EXAMPLES = Path(__file__).parents[2] / "example_models"
BOARD = load_board("pulp_open")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.emulated,
    pytest.mark.skipif(find_pulp_sdk() is None, reason=f"no PULP SDK with GVSoC: set {PULP_SDK}"),
]


@pytest.mark.parametrize("name", ["digits", "paper_shapes/tinyradar"])
def test_samples_are_equal(name: str, tmp_path: Path) -> None:
    path = EXAMPLES / name
    new_project(
        Request(BOARD, path / "model.onnx", path / "samples.npz", tmp_path / "n", self_test=4)
    )
    result = runner.run(tmp_path / "n", BOARD, "gvsoc", 3)
    assert result.passed and result.matching == 3
    assert result.counter == "cycles"
    assert result.total and result.total == sum(layer.count or 0 for layer in result.layers)
