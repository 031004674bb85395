# SPDX-License-Identifier: Apache-2.0
"""A model with two inputs and three outputs goes the whole way, and so do parts of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from machine import needs_gcc_and_qemu
from multi.models import OUTPUTS, labels, quantised, samples
from tinygen import fidelity, runner
from tinygen.boards import load_board
from tinygen.passes import import_model
from tinygen.planner import Options
from tinygen.project import Request, new_project, update_project
from tinygen.report import page, records


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return quantised(tmp_path_factory.mktemp("multi"))


def built(made: tuple[Path, Path], board: str, folder: Path, *outputs: str) -> Path:
    options = Options(outputs=outputs)
    new_project(Request(load_board(board), *made, folder, self_test=24, options=options))
    return folder


def check(made: tuple[Path, Path], *outputs: str) -> fidelity.CheckResult:
    graph = fidelity.import_for(*made, outputs=outputs).graph
    x, y = fidelity.load_samples(made[1], graph)
    return fidelity.check(graph, made[0], x, y)


def test_every_output_is_that_of_onnxruntime(made: tuple[Path, Path]) -> None:
    result = check(made)
    assert list(result.outputs) == list(OUTPUTS)
    for one in result.outputs.values():
        assert one.mean_abs_lsb < 0.5 and one.max_abs_lsb <= 2 and one.top1_agreement > 0.9
    assert result.outputs["angle"].accuracy_int is None
    session = onnxruntime.InferenceSession(str(made[0]))
    given = samples()
    rows = [
        session.run(["mood"], {n: x[k : k + 1] for n, x in given.items()})[0]
        for k in range(len(given["signal"]))
    ]
    right = float((np.concatenate(rows).argmax(axis=1) == labels()["y_mood"]).mean())
    assert abs((result.outputs["mood"].accuracy_onnx or 0) - right) < 0.05
    assert len({tuple(np.rint(row[0] * 100)) for row in rows}) > 20  # no output stands still


def test_the_record_of_a_check_names_each_output(made: tuple[Path, Path]) -> None:
    record = records.check_record(check(made))
    assert [o["name"] for o in record["outputs"]] == list(OUTPUTS)
    single = records.check_record(check(made, "mood"))
    assert "outputs" not in single and single["accuracy_int"] is not None


def same_on(folder: Path, on: runner.Place) -> runner.RunResult:
    board = runner.read_project(folder).load_board()
    result = runner.run(folder, board, on)
    assert result.passed and result.samples == 24
    return result


def test_on_the_host(made: tuple[Path, Path], tmp_path: Path) -> None:
    result = same_on(built(made, "host", tmp_path / "p"), "host")
    assert [a.name for a in result.answers] == list(OUTPUTS)
    assert result.answers[1].labels == tuple(labels()["y_mood"][:24])
    assert {len(a.given) for a in result.answers} == {24}
    assert len(set(result.answers[0].given)) > 2
    assert [o["name"] for o in records.run_record(result)["outputs"]] == list(OUTPUTS)


@pytest.mark.emulated
@needs_gcc_and_qemu
def test_on_an_emulated_m7(made: tuple[Path, Path], tmp_path: Path) -> None:
    folder = built(made, "mps2_an500", tmp_path / "p")
    measured = same_on(folder, "qemu").stack
    header = (folder / "include/tinygen_model/multi.h").read_text()
    promised = re.search(r"#define MULTI_STACK_BYTES (\d+)", header)
    assert promised and measured and measured <= int(promised[1])


@pytest.mark.parametrize("board", ["pulp_open", "gap9_evk"])
def test_on_the_threads_of_a_cluster(made: tuple[Path, Path], board: str, tmp_path: Path) -> None:
    same_on(built(made, board, tmp_path / "p"), "host")


def test_input_in_the_arena(made: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tmp_path / "p"
    options = Options(input_in_arena=True)
    new_project(Request(load_board("host"), *made, folder, self_test=24, options=options))
    header = (folder / "include/tinygen_model/multi.h").read_text()
    assert "MULTI_SIGNAL_INPUT(arena)" in header and "MULTI_FEATURES_INPUT(arena)" in header
    same_on(folder, "host")


@pytest.mark.parametrize("outputs", [("mood",), ("angle", "gesture")])
def test_some_of_the_outputs(
    made: tuple[Path, Path], outputs: tuple[str, ...], tmp_path: Path
) -> None:
    """In the order of the file, and with their own labels."""
    folder = built(made, "host", tmp_path / "p", *outputs)
    result = same_on(folder, "host")
    kept = [name for name in OUTPUTS if name in outputs]
    assert [a.name for a in result.answers] == kept
    assert result.answers[0].labels == tuple(labels()[f"y_{kept[0]}"][:24])
    header = (folder / "include/tinygen_model/multi.h").read_text()
    assert [f"MULTI_{n.upper()}_SIZE" in header for n in OUTPUTS] == [n in kept for n in OUTPUTS]


def test_an_update_keeps_the_choice_of_outputs(made: tuple[Path, Path], tmp_path: Path) -> None:
    folder = built(made, "host", tmp_path / "p", "mood")
    before = {f: f.read_bytes() for f in folder.rglob("*") if f.is_file()}
    updated = update_project(folder, *made, self_test=24)
    assert updated.written == () and [o.name for o in updated.graph.outputs] == ["mood"]
    assert {f: f.read_bytes() for f in folder.rglob("*") if f.is_file()} == before


def test_the_page_names_every_input_and_output(made: tuple[Path, Path], tmp_path: Path) -> None:
    folder = built(made, "host", tmp_path / "p")
    plan = json.loads((folder / "plan.json").read_text())
    assert [e["name"] for e in plan["outputs"]] == list(OUTPUTS)
    assert plan["accuracy"]["outputs"]["mood"]["labelled"] == 24
    text = page.write_page(folder).read_text()
    assert all(name in text for name in (*OUTPUTS, "signal", "features"))


def test_one_input_gets_its_integers_from_one_and_reals_from_the_other(
    made: tuple[Path, Path],
) -> None:
    """Each input has a grid of its own."""
    graph = import_model(made[0])
    grids = [graph.values[i.value].quant for i in graph.inputs]
    assert grids[0] != grids[1] and None not in grids


def test_the_command_line(made: tuple[Path, Path], tmp_path: Path) -> None:
    """`--output`, once or more, wherever a model is taken."""

    def said(*arguments: object) -> str:
        command = [sys.executable, "-m", "tinygen", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True)
        return done.stdout if done.returncode == 0 else done.stderr

    model, data = made
    two = ("--output", "mood", "--output", "angle")
    record = json.loads(said("check", model, "--data", data, *two, "--json"))
    assert [o["name"] for o in record["outputs"]] == ["mood", "angle"]
    record = json.loads(said("inspect", model, *two, "--json"))
    assert [o["c_name"] for o in record["outputs"]] == ["mood", "angle"]
    assert [i["name"] for i in record["inputs"]] == ["signal", "features"]
    folder = tmp_path / "p"
    project = ("--board", "host", "--model", model, "--samples", data)
    assert "Created" in said("new", folder, *project, "--output", "mood")
    assert json.loads((folder / "tinygen.json").read_text())["outputs"] == ["mood"]
    wrong = said("inspect", model, "--output", "colour")
    assert wrong.count("\n") == 1 and "choose from gesture, mood, angle" in wrong
    table = said("check", model, "--data", data)
    assert all(f"{name}: same answer" in table for name in OUTPUTS)
