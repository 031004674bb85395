# SPDX-License-Identifier: Apache-2.0
"""Constants beyond L2: who lies in L3, where they come to, and that the program is bit-equal."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hostbuild import build, run

from graphs import GraphBuilder, random_encoder
from tinygen.boards import Board, load_board
from tinygen.errors import TinygenError
from tinygen.graph import Graph
from tinygen.passes import import_model
from tinygen.planner import Options, Plan, l3, make_plan
from tinygen.planner import plan as p
from tinygen.project import create_project, promise, random_samples
from tinygen.report.tables import plan_tables

BOARD = load_board("gap9")
L2, L3 = BOARD.flash[0].usable, next(r.usable for r in BOARD.memory if r.name == "l3")
MODELS = Path(__file__).parents[1] / "corpus" / "models"

compiles = pytest.mark.skipif(not shutil.which("cc"), reason="no host C compiler (cc)")


def encoder() -> Graph:
    return random_encoder(tokens=9, e=16, p=4, h=3, ffn=40, blocks=3)


def linears(*widths: int) -> Graph:
    b = GraphBuilder((2, widths[0]), 3, "net")
    for i, (k, n) in enumerate(pairwise(widths)):
        b.add(f"fc{i}", b.linear(n, k))
    return b.graph()


def project(graph: Graph, folder: Path, limit: int | None = None) -> p.Staging:
    plan = make_plan(graph, BOARD, Options(max_flash=limit))
    create_project(plan, promise(graph, random_samples(graph, 3), None), "pulp-sdk", folder)
    return staging(plan)


def staging(plan: Plan) -> p.Staging:
    assert plan.staging is not None
    return plan.staging


# -- plans --------------------------------------------------------------------------------------


def test_all_in_l2_where_it_fits() -> None:
    plan = make_plan(encoder(), BOARD)
    assert plan.staging is None and not set(l3.SOURCES) & set(plan.sources)
    exact = make_plan(encoder(), BOARD, Options(max_flash=plan.flash_bytes))
    assert exact.staging is None
    assert make_plan(encoder(), BOARD, Options(max_flash=plan.flash_bytes - 1)).staging


@pytest.mark.parametrize("limit", [2000, 3500, 4000, 6000, 9000, 13000])
def test_largest_first_and_no_two_at_once_in_one_place(limit: int) -> None:
    plan = make_plan(encoder(), BOARD, Options(max_flash=limit))
    stage = staging(plan)
    beyond = [layer.step for layer in stage.layers]
    assert beyond == [s.name for s in plan.steps if s.name in beyond]  # as they run
    sizes = {s.name: l3.block_bytes(s) for s in plan.steps}
    assert min(sizes[n] for n in beyond) >= max(sizes[n] for n in sizes if n not in beyond)
    for i, layer in enumerate(stage.layers):
        assert 0 <= layer.offset <= layer.offset + layer.size <= stage.size
        assert layer.at == sum(x.size for x in stage.layers[:i])
        for other in stage.layers[i + 1 : i + stage.slots]:  # on their way beside it
            apart = (layer.offset + layer.size <= other.offset) or (
                other.offset + other.size <= layer.offset
            )
            assert apart
    kept = sum(-(-size // 4) * 4 for n, size in sizes.items() if n not in beyond)
    assert kept + stage.size - 8 * len(sizes) <= plan.flash_bytes <= limit


def test_one_at_a_time_where_two_have_no_room() -> None:
    assert staging(make_plan(encoder(), BOARD, Options(max_flash=3500))).slots == 1
    assert staging(make_plan(encoder(), BOARD, Options(max_flash=4500))).slots == 2


def test_it_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    plan = make_plan(encoder(), BOARD, Options(max_flash=6000))
    Console(width=200).print(plan_tables(plan))
    shown = capsys.readouterr().out
    assert "buffer for layers in L3, 2 at a time" in shown
    assert f"weights of {len(staging(plan).layers)} layers" in shown
    assert l3.NO_WAITS in shown


def with_l3(size: int) -> Board:
    regions = tuple(
        r.model_copy(update={"size": size, "reserved": 0}) if r.name == "l3" else r
        for r in BOARD.memory
    )
    return BOARD.model_copy(update={"memory": regions})


def test_refused_beyond_l3() -> None:
    graph = encoder()
    fits = staging(make_plan(graph, BOARD, Options(max_flash=6000)))
    make_plan(graph, with_l3(fits.l3_bytes), Options(max_flash=6000))
    with pytest.raises(TinygenError, match="and l3 holds 2,000 bytes"):
        make_plan(graph, with_l3(2000), Options(max_flash=6000))


def test_refused_where_one_layer_has_no_room() -> None:
    graph = linears(64, 64, 128, 64)
    with pytest.raises(TinygenError, match="too many to come from l3 at once"):
        make_plan(graph, BOARD, Options(max_flash=4000))


# -- programs -----------------------------------------------------------------------------------


@compiles
@pytest.mark.parametrize(
    ("limit", "sanitizer", "cores"),
    [
        (2000, "thread", 8),
        (4000, "thread", 1),
        (4000, "thread", 8),
        (4000, "address,undefined", 5),
        (9000, "", 3),
    ],
)
def test_bit_equal(limit: int, sanitizer: str, cores: int, tmp_path: Path) -> None:
    """Few layers in L3 and nearly all, one and two at a time."""
    stage = project(encoder(), tmp_path / "n", limit)
    assert len(stage.layers) > (15 if limit < 5000 else 3)
    run(build(tmp_path / "n", sanitizer, cores))


@compiles
@pytest.mark.parametrize("name", ["dynamo20-qdq-ids", "dynamo20-qdq-maxpool"])
def test_other_operators(name: str, tmp_path: Path) -> None:
    """Embedding and convolution."""
    stage = project(import_model(MODELS / f"{name}.onnx", name="net"), tmp_path / "n", 3000)
    assert stage.layers[0].step.startswith("embed")
    run(build(tmp_path / "n", "thread", 8))


@compiles
def test_weights_beyond_l2(tmp_path: Path) -> None:
    """1.6 times what L2 holds, without any limit."""
    graph = random_encoder(tokens=8, e=256, p=32, h=8, ffn=1024, blocks=3)
    plan = make_plan(graph, BOARD)
    assert plan.const_bytes > 1.6 * L2 and plan.flash_bytes <= L2
    stage = project(graph, tmp_path / "n")
    assert (tmp_path / "n/src/model/net_l3.bin").stat().st_size == stage.l3_bytes <= L3
    for cores in (1, 8):
        run(build(tmp_path / "n", "thread", cores))


def swap(old: str, new: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return change


@compiles
@pytest.mark.parametrize(
    ("pattern", "change"),
    [
        ("cluster/stage.c", swap("tg_l3_wait(", "(void)(")),  # the wait is missing
        ("net.c", swap("call->jobs[1]", "call->jobs[0]")),  # a job is used for two at once
    ],
    ids=["no wait", "one job"],
)
def test_a_mistake_shows(pattern: str, change: Callable[[Path], None], tmp_path: Path) -> None:
    project(encoder(), tmp_path / "n", 6000)
    (file,) = (tmp_path / "n").rglob(pattern)
    change(file)
    done = subprocess.run([build(tmp_path / "n", "", 2)], capture_output=True, text=True)
    assert done.returncode == 1


@compiles
def test_every_core_waits(tmp_path: Path) -> None:
    """For the table of an embedding, which all of them read where it is: core 0 is made late."""
    project(import_model(MODELS / "dynamo20-qdq-ids.onnx", name="net"), tmp_path / "n", 3000)
    (file,) = (tmp_path / "n").rglob("cluster/stage.c")
    late = "for (volatile int32_t i = 0; i < 50000000; i++)\n      ;\n  if (!tg_team_core())\n"
    swap(
        "  if (tg_team_core() == 0)\n    tg_l3_wait",
        f"  if (!tg_team_core())\n    {late}    tg_l3_wait",
    )(file)
    run(build(tmp_path / "n", "", 8))
    swap("  tg_team_barrier();\n", "")(file)
    done = subprocess.run([build(tmp_path / "n", "", 8)], capture_output=True, text=True)
    assert done.returncode == 1


@compiles
def test_the_file_is_what_is_used(tmp_path: Path) -> None:
    project(encoder(), tmp_path / "n", 4000)
    program, file = build(tmp_path / "n", "", 2), tmp_path / "n/src/model/net_l3.bin"
    run(program)
    whole = file.read_bytes()
    file.write_bytes(bytes(b ^ 0x55 for b in whole))
    done = subprocess.run([program], capture_output=True, text=True)
    assert done.returncode == 1
    assert json.loads(done.stdout.splitlines()[-1])["equal"] == 0
    for content in (whole[:-1], None):  # cut short, absent
        file.unlink()
        if content is not None:
            file.write_bytes(content)
        done = subprocess.run([program], capture_output=True, text=True)
        assert done.returncode == 2 and "net_l3.bin" in done.stdout
