# SPDX-License-Identifier: Apache-2.0
"""The examples on eight cores in GVSoC (`TINYGEN_PULP_SDK`: a script that sets up the SDK)."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphs import random_encoder
from tinygen import runner
from tinygen.boards import load_board
from tinygen.passes.short import shorten
from tinygen.planner import make_plan
from tinygen.project import Request, create_project, new_project, promise, random_samples
from tinygen.runner.toolchain import PULP_SDK, find_pulp_sdk

EXAMPLES = Path(__file__).parents[2] / "example_models"
BOARD = load_board("pulp_open")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.emulated,
    pytest.mark.skipif(find_pulp_sdk() is None, reason=f"no PULP SDK with GVSoC: set {PULP_SDK}"),
]


@pytest.mark.parametrize("name", ["digits", "paper_shapes/tinyradar", "paper_shapes/eegformer"])
def test_samples_are_equal(name: str, tmp_path: Path) -> None:
    path = EXAMPLES / name
    new_project(
        Request(BOARD, path / "model.onnx", path / "samples.npz", tmp_path / "n", self_test=4)
    )
    result = runner.run(tmp_path / "n", BOARD, "gvsoc", 3)
    assert result.passed and result.matching == 3
    assert result.counter == "cycles"
    assert result.total and result.total == sum(layer.count or 0 for layer in result.layers)


@pytest.mark.parametrize("name", ["dynamo20-qdq-causal", "dynamo20-raw-post", "legacy14-qdq-base"])
def test_what_few_models_have(name: str, tmp_path: Path) -> None:
    """A masked attention, projections rounded twice, norms with their variance in steps."""
    path = Path(__file__).parents[1] / "corpus" / "models" / name
    files = (path.with_suffix(s) for s in (".onnx", ".npz"))
    new_project(Request(BOARD, *files, tmp_path / "n", self_test=2))
    result = runner.run(tmp_path / "n", BOARD, "gvsoc", 2)
    assert result.passed and result.matching == 2


def test_weights_beyond_l2(tmp_path: Path) -> None:
    """The larger layers in HyperRAM, filled from the flash's readfs."""
    graph = random_encoder(tokens=8, e=256, p=32, h=8, ffn=1024, blocks=3)
    plan = make_plan(graph, BOARD)
    assert plan.staging and plan.const_bytes > BOARD.flash[0].size >= plan.flash_bytes
    samples = promise(graph, random_samples(graph, 2), None)
    create_project(plan, samples, "pulp-sdk", tmp_path / "n")
    result = runner.run(tmp_path / "n", BOARD, "gvsoc")
    assert result.passed and result.matching == 2


def test_weights_beyond_l1(tmp_path: Path) -> None:
    """Streamed in chunks: six times what L1 holds, with short arithmetic."""
    graph = shorten(random_encoder(tokens=8, e=128, p=32, h=8, ffn=1024, blocks=2)).graph
    plan = make_plan(graph, BOARD)
    assert plan.const_bytes > 6 * BOARD.ram[0].size
    samples = promise(graph, random_samples(graph, 1), None)
    create_project(plan, samples, "pulp-sdk", tmp_path / "n")
    result = runner.run(tmp_path / "n", BOARD, "gvsoc")
    assert result.passed and result.matching == 1
