# SPDX-License-Identifier: Apache-2.0
"""The bytes of code that a plan predicts, and the tables that they come from."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from graphs import GraphBuilder, random_encoder
from tinygen.boards import Board, Region, load_board
from tinygen.emitter import emit
from tinygen.errors import TinygenError
from tinygen.operators import Fusion
from tinygen.operators.attention.schedule import Kind
from tinygen.planner import KINDS, Options, Plan, make_plan
from tinygen.planner.footprint import CodeModel, Section, called, load_code_model
from tinygen.project import load_graph

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
MODELS = ("digits", "activity", "paper_shapes/eegformer", "paper_shapes/tinyradar")


def plan_of(model: str, board: Board, kind: Kind | None = None) -> Plan:
    path = ROOT / "example_models" / model / "model.onnx"
    return make_plan(load_graph(path), board, Options(attention=kind))


@pytest.mark.parametrize("board", ("nucleo_l476rg", "mps2_an385"))
@pytest.mark.parametrize("model", MODELS)
def test_the_functions_that_the_network_calls(model: str, board: str) -> None:
    for kind in KINDS:
        plan = plan_of(model, load_board(board), kind)
        text = emit(plan, None)[f"{plan.model}.c"]
        assert set(called(plan.steps)) == set(re.findall(r"\b(tg_\w+)\(", text))
        assert plan.footprint is not None


def test_the_functions_of_other_layers() -> None:
    path = ROOT / "tests/corpus/models/dynamo20-qdq-maxpool.onnx"
    plan = make_plan(load_graph(path), load_board("nucleo_l476rg"))
    assert "max" in {s.op for s in plan.steps}
    text = emit(plan, None)[f"{plan.model}.c"]
    assert set(called(plan.steps)) == set(re.findall(r"\b(tg_\w+)\(", text))
    assert plan.footprint is not None


@pytest.mark.parametrize("fusion", ("fused-scores", "fused-values", "fused"))
@pytest.mark.parametrize("board", ("nucleo_l476rg", "mps2_an385"))
def test_the_functions_of_fused_weights(fusion: Fusion, board: str) -> None:
    b = GraphBuilder((9, 16))
    b.add("attention", b.attention(16, 4, 4, fusion=fusion))
    for kind in KINDS:
        plan = make_plan(b.graph(), load_board(board), Options(attention=kind))
        text = emit(plan, None)["net.c"]
        assert set(called(plan.steps)) == set(re.findall(r"\b(tg_\w+)\(", text))
        assert plan.footprint is not None


def test_streaming_needs_other_functions_than_whole_layers() -> None:
    board = load_board("nucleo_l476rg")
    whole, streamed = (plan_of("digits", board, k).footprint for k in ("whole", "head-streaming"))
    assert whole is not None and streamed is not None
    assert whole.kernels != streamed.kernels


def test_the_flash_budget_counts_code() -> None:
    board = load_board("nucleo_l476rg")
    plan = plan_of("digits", board)
    assert plan.flash_bytes > plan.const_bytes + 10_000
    graph = load_graph(ROOT / "example_models/digits/model.onnx")
    make_plan(graph, board, Options(max_flash=plan.flash_bytes))
    with pytest.raises(TinygenError, match="bytes of code"):
        make_plan(graph, board, Options(max_flash=plan.const_bytes + 1))


def test_the_stack_is_that_of_the_deepest_call() -> None:
    sections = {
        "a": Section(0, 8, ("shallow", "deep", "data")),
        "shallow": Section(0, 16, ()),
        "deep": Section(0, 24, ("shallow", "deeper")),
        "deeper": Section(0, 40, ("data",)),
        "data": Section(64, 0, ()),
    }
    model = CodeModel("cc", sections, 0, 0, 0)
    assert [model.depth(key) for key in sections] == [8 + 24 + 40, 16, 24 + 40, 40, 0]


@pytest.mark.parametrize("size, fits", ((0x10000, True), (0x4000, False)))
def test_kernels_stay_in_flash_where_fast_memory_is_too_small(size: int, fits: bool) -> None:
    board = load_board("nucleo_l476rg")
    itcm = Region(name="itcm", kind="code", base=0x70000000, size=size, section="ITCM")
    plan = plan_of("digits", board.model_copy(update={"memory": (*board.memory, itcm)}))
    assert plan.code_region == (itcm if fits else None)
    assert plan.footprint is not None
    assert (plan.footprint.resident > 0x4000) == fits


def test_a_core_that_nobody_measured() -> None:
    board = load_board("nucleo_l476rg")
    core = board.core.model_copy(update={"cpu": "cortex-m85"})
    plan = make_plan(random_encoder(), board.model_copy(update={"core": core}))
    assert plan.footprint is None
    assert plan.flash_bytes == plan.const_bytes


@pytest.mark.parametrize(
    "target, cpu",
    (("armv7em", "cortex-m4"), ("armv7em", "cortex-m7"), ("portable", "cortex-m3")),
)
def test_the_tables_are_those_of_the_present_kernels(target: str, cpu: str, tmp_path: Path) -> None:
    pytest.importorskip("elftools")
    import code_size

    if shutil.which(code_size.COMPILER) is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    model = load_code_model(target, cpu)
    assert model is not None
    if code_size.compiler() != model.compiler:
        pytest.skip(f"the tables are those of {model.compiler}")
    flags = (f"-mcpu={cpu}", *code_size.CORES[target][cpu])
    now = code_size.kernels(target, flags, tmp_path)
    remedy = "run benchmarks/code_size.py"
    assert set(now) == set(model.sections), remedy
    for key, section in now.items():
        was = model.sections[key]
        assert section.bytes == pytest.approx(was.bytes, rel=0.02, abs=8), f"{key}: {remedy}"
        assert section.stack <= was.stack, f"{key}: {remedy}"
        assert set(was.uses) == section.uses, f"{key}: {remedy}"
