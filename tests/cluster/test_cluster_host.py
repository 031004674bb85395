# SPDX-License-Identifier: Apache-2.0
"""A project for a cluster, its cores as threads: bit-equal with any number of them, no races."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hostbuild import build, run

from graphs import GraphBuilder, random_encoder
from tinygen import operators as ops
from tinygen.boards import load_board
from tinygen.graph import Graph
from tinygen.operators import FUSIONS
from tinygen.operators.attention.schedule import FEW
from tinygen.passes import import_model
from tinygen.passes.short import narrow_weights
from tinygen.planner import Plan, make_plan
from tinygen.project import create_project, promise, random_samples

SHAPES = {
    "even": {"tokens": 12, "e": 16, "p": 4, "h": 8, "ffn": 32},
    "odd": {"tokens": 9, "e": 18, "p": 2, "h": 3, "class_token": False},
    "one head": {"tokens": 33, "e": 8, "p": 8, "h": 1, "ffn": 12},
    "one token": {"tokens": 1, "e": 5, "p": 7, "h": 1, "ffn": 3, "class_token": False},
}
CORES = (1, 2, 3, 5, 8)
RUNS = [("thread", 3), ("thread", 8), ("address,undefined", 5), ("", 1), ("", 2)]
ALL = [(sanitizer, cores) for sanitizer in ("thread", "address,undefined") for cores in CORES]

pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="no host C compiler (cc)")


def make(graph: Graph, folder: Path) -> Plan:
    plan = make_plan(graph, load_board("gap9"))
    create_project(plan, promise(graph, random_samples(graph, 3), None), "pulp-sdk", folder)
    return plan


@pytest.fixture(scope="module", params=list(SHAPES))
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    graph = random_encoder(**SHAPES[request.param])
    folder = tmp_path_factory.mktemp("cluster") / "net"
    make(graph, folder)
    return folder


@pytest.mark.parametrize(("sanitizer", "cores"), RUNS)
def test_bit_equal(project: Path, sanitizer: str, cores: int) -> None:
    run(build(project, sanitizer, cores))


@pytest.mark.parametrize(("sanitizer", "cores"), ALL)
def test_all_cores_under_sanitizers(tmp_path: Path, sanitizer: str, cores: int) -> None:
    """Heads that the cores do not divide, rows left over, every way to share a layer out, weights
    of eight bits and of fifteen."""
    b = GraphBuilder((9, 18), 4, "net")
    b.block(18, 6, 3, 20)
    op = narrow_weights(b.attention(18, 6, 1))
    assert op
    b.add("narrow", op)
    b.add("eight", b.attention(18, 2, 8))
    plan = make(b.graph(), tmp_path / "n")
    teams = "heads to 3 teams, rows to their cores"
    assert {s.schedule for s in plan.steps} >= {"heads to cores", "rows to cores", teams}
    run(build(tmp_path / "n", sanitizer, cores))


@pytest.mark.parametrize(("sanitizer", "cores"), ALL)
def test_fused_weights(tmp_path: Path, sanitizer: str, cores: int) -> None:
    """Every form, every way to share it out, weights of eight bits and of few levels."""
    b = GraphBuilder((9, 18), 4, "net")
    for form in FUSIONS[1:]:
        b.add(form, b.attention(18, 2, 8, fusion=form))
        for heads in (3, 1):
            op = narrow_weights(b.attention(18, 6, heads, fusion=form))
            assert op
            b.add(f"{form} {heads} narrow", op)
    for heads in (8, 3, 1):
        op = replace(b.attention(18, 6, heads, fusion="fused-scores"), levels=15)
        b.add(f"levels {heads}", op)
    plan = make(b.graph(), tmp_path / "n")
    ways = ["heads to cores", "heads to 3 teams, rows to their cores", "rows to cores"]
    assert [s.schedule for s in plan.steps] == ways * 4
    run(build(tmp_path / "n", sanitizer, cores))
    if (sanitizer, cores) == ("address,undefined", 3):
        run(build(tmp_path / "n", sanitizer, cores, "-DTG_WEIGHTS_NEAR"))


@pytest.mark.parametrize(("tokens", "e", "p"), [(1, 1, 3), (5, 2, 2), (6, 3, 2)])
def test_fused_weights_of_small_shapes(tmp_path: Path, tokens: int, e: int, p: int) -> None:
    b = GraphBuilder((tokens, e), 1, "net")
    for form in FUSIONS[1:]:
        for heads in (1, 5, 9):
            b.add(f"{form} {heads}", b.attention(e, p, heads, fusion=form))
    make(b.graph(), tmp_path / "n")
    run(build(tmp_path / "n", "address,undefined", 3))


@pytest.mark.parametrize(
    "source",
    [
        *("linear.c", "attention_layer.h", "attention_projected.h", "attention_fused.h"),
        *("conv.c", "copy.c"),
    ],
)
def test_a_missing_wait_shows(tmp_path: Path, source: str) -> None:
    b = GraphBuilder((2, 8, 8), 1, "net")
    conv = ops.Conv(
        *(b.weight(8, 2, 2, 2), b.bias(8), b.requant(8, 8)), stride=(2, 2), channels_last=False
    )
    b.add("conv", conv)
    b.add("attention", b.attention(8, 4, 2))
    b.add("fused", b.attention(8, 4, 2, fusion="fused"))
    b.add("linear", b.linear(8, 8))
    make(b.graph(), tmp_path / "n")
    (file,) = (tmp_path / "n").rglob(f"cluster/{source}")
    file.write_text(re.sub(r"tg_(dma_wait|wait_weights)\(", "(void)(", file.read_text()))
    done = subprocess.run([build(tmp_path / "n", "", 1)], capture_output=True, text=True)
    assert done.returncode != 0


def test_weights_that_stay_where_they_are(project: Path) -> None:
    """As benchmarks/near.py measures them in L1."""
    run(build(project, "thread", 3, "-DTG_WEIGHTS_NEAR"))


def test_weights_of_few_tokens_that_stay_where_they_are(tmp_path: Path) -> None:
    b = GraphBuilder((3, 8), 4, "net")
    b.add("attention", b.attention(8, 4, 5))
    assert make(b.graph(), tmp_path / "n").steps[0].schedule == str(FEW)
    run(build(tmp_path / "n", "thread", 3, "-DTG_WEIGHTS_NEAR"))


@pytest.mark.parametrize("tokens", [5, 6])
def test_many_heads_of_few_tokens(tokens: int, tmp_path: Path) -> None:
    """The output projection needs more memory than the heads."""
    b = GraphBuilder((tokens, 16), 4, "net")
    b.add("attention", b.attention(16, 4, 64))
    b.add("fused", b.attention(16, 4, 64, fusion="fused-values"))
    make(b.graph(), tmp_path / "n")
    run(build(tmp_path / "n", "thread", 8))


@pytest.mark.parametrize(("sanitizer", "cores"), [("address,undefined", 3), ("thread", 8), ("", 1)])
@pytest.mark.parametrize("tokens", [1, 4, 5])
def test_fused_weights_of_few_tokens(
    tmp_path: Path, tokens: int, sanitizer: str, cores: int
) -> None:
    b = GraphBuilder((tokens, 16), 4, "net")
    for form in ("fused-scores", "fused"):
        for p, heads in ((4, 5), (20, 9)):
            b.add(f"{form} {heads}", b.attention(16, p, heads, fusion=form))
            op = narrow_weights(b.attention(16, p, heads, fusion=form))
            assert op
            b.add(f"{form} {heads} narrow", op)
    plan = make(b.graph(), tmp_path / "n")
    assert {s.schedule for s in plan.steps} == {str(FEW)}
    run(build(tmp_path / "n", sanitizer, cores))
    if cores == 3:
        run(build(tmp_path / "n", sanitizer, cores, "-DTG_WEIGHTS_NEAR"))


def test_one_head_is_shared_by_rows() -> None:
    graph = random_encoder(tokens=33, e=8, p=8, h=1, ffn=12)
    plan = make_plan(graph, load_board("gap9"))
    how = [s.schedule for s in plan.steps if s.op == "attention"]
    assert how == ["rows to cores"]


def test_the_next_quickest_way_where_memory_is_short(tmp_path: Path) -> None:
    """Four teams would be quicker, one takes less memory."""
    b = GraphBuilder((33, 64), 0, "net")
    b.add("attention", b.attention(64, 64, 4))
    plan = make(b.graph(), tmp_path / "n")
    assert [s.schedule for s in plan.steps] == ["heads to 2 teams, rows to their cores"]
    run(build(tmp_path / "n", "thread", 5))


def test_weights_beyond_l1(tmp_path: Path) -> None:
    """Streamed in chunks: six times what L1 holds."""
    graph = random_encoder(tokens=8, e=128, p=32, h=8, ffn=1024, blocks=2)
    board = load_board("gap9")
    plan = make_plan(graph, board)
    assert plan.const_bytes > 6 * board.ram[0].size
    create_project(plan, promise(graph, random_samples(graph, 3), None), "pulp-sdk", tmp_path / "n")
    run(build(tmp_path / "n", "thread", 8))


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("dynamo20-qdq-maxpool", "max"),
        ("hand10-quantlib-base", "layernorm_whole"),
        ("legacy17-brevitas-base", "add_wide"),
        ("dynamo20-qdq-ids", "embed"),
        ("dynamo20-raw-post", "dot_product_attention"),
        ("dynamo20-qdq-causal", "dot_product_attention"),
        ("legacy14-qdq-base", "layernorm_steps"),
    ],
)
def test_operators_that_few_models_have(name: str, function: str, tmp_path: Path) -> None:
    model = Path(__file__).parents[1] / "corpus" / "models" / f"{name}.onnx"
    graph = import_model(model, name="net")
    plan = make_plan(graph, load_board("gap9"))
    assert function in {s.function for s in plan.steps}
    assert ("cluster/attention_levels.c" in plan.sources) == ("quantlib" in name)
    create_project(plan, promise(graph, random_samples(graph, 3), None), "pulp-sdk", tmp_path / "n")
    run(build(tmp_path / "n", "thread", 8))
