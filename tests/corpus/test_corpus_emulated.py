# SPDX-License-Identifier: Apache-2.0
"""One model of each form, as a firmware project on the emulated Cortex-M7: the promised bits."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.test_corpus import MODELS, SUPPORTED, imported
from tinygen import runner
from tinygen.boards import load_board
from tinygen.operators import Attention
from tinygen.operators.attention.schedule import AttentionSchedule
from tinygen.planner import Options, make_plan
from tinygen.project import Request, create_project, new_project, promise, random_samples
from tinygen.runner.toolchain import find_qemu, has_unicorn

BOARD = "mps2_an500"
FORMS = {name.split("-")[1]: name for name in reversed(SUPPORTED)}
FORMS |= {"ids": "dynamo20-qdq-ids", "legacy14": "legacy14-qdq-base"}
FORMS |= {"causal": "dynamo20-qdq-causal", "padding": "dynamo20-qdq-padding"}


def where() -> runner.Place:
    """QEMU, without it Unicorn."""
    if not find_qemu() and not has_unicorn():
        pytest.skip("neither qemu-system-arm nor PyPI's unicorn is installed")
    return "qemu" if find_qemu() else "unicorn"


@pytest.mark.emulated
@pytest.mark.parametrize("form", sorted(FORMS))
def test_form_on_the_m7(form: str, tmp_path: Path) -> None:
    place, board, name = where(), load_board(BOARD), FORMS[form]
    data, folder = MODELS / f"{name}.npz", tmp_path / "app"
    new_project(Request(board, MODELS / f"{name}.onnx", data, folder, self_test=4))
    result = runner.run(folder, board, place)
    assert result.passed and result.matching == result.samples == 4
    assert result.counter == "instructions"


@pytest.mark.emulated
@pytest.mark.parametrize("compact", [False, True])
def test_rounded_attention_weights(compact: bool, tmp_path: Path) -> None:
    """QuantLib's softmax with operands of 16 and of 8 bits."""
    place, board, graph = where(), load_board(BOARD), imported("hand10-quantlib-post")
    (node,) = (n for n in graph.nodes if isinstance(n.op, Attention))
    assert isinstance(node.op, Attention) and node.op.levels == 255
    how = AttentionSchedule("depth-first", 3, compact=compact)
    plan = make_plan(graph, board, Options(schedules={node.name: how}))
    samples = promise(graph, random_samples(graph, 3), None)
    create_project(plan, samples, "baremetal", tmp_path / "net")
    assert runner.run(tmp_path / "net", board, place).matching == 3
