# SPDX-License-Identifier: Apache-2.0
"""The commands as a user types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tinygen.resources import resource

DIGITS = resource("example_models/digits")
RADAR = resource("example_models/paper_shapes/tinyradar")
CORPUS = Path(__file__).parents[1] / "corpus" / "models"


def tinygen(*args: str | Path, cwd: Path) -> str:
    command = [sys.executable, "-m", "tinygen", *map(str, args)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def tinygen_json(*args: str | Path, cwd: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(tinygen(*args, "--json", cwd=cwd))
    return record


def test_version(tmp_path: Path) -> None:
    assert tinygen("--version", cwd=tmp_path).startswith("tinygen ")


def test_boards(tmp_path: Path) -> None:
    names = {b["name"] for b in tinygen_json("boards", cwd=tmp_path)["boards"]}
    assert {"host", "mps2_an386", "mps2_an500"} <= names
    assert "mps2_an500" in tinygen("boards", cwd=tmp_path)


def test_doctor(tmp_path: Path) -> None:
    checks = tinygen_json("doctor", cwd=tmp_path)["checks"]
    assert "cmake" in {c["name"] for c in checks}


def test_inspect(tmp_path: Path) -> None:
    record = tinygen_json("inspect", DIGITS / "model.onnx", "--board", "mps2/an500", cwd=tmp_path)
    assert record["macs"] == sum(layer["macs"] for layer in record["layers"])
    assert record["arena_bytes"] >= record["arena_lower_bound_bytes"] > 0
    assert "attention" in {layer["op"] for layer in record["layers"]}
    assert all(r["used"] <= r["size"] for r in record["regions"])


def test_samples_choose_missing_scales_everywhere(tmp_path: Path) -> None:
    """`inspect`, `new` and `update` see the same samples, so they make the same graph."""
    name = CORPUS / "dynamo20-xnnpack-base"
    model, data = name.with_suffix(".onnx"), name.with_suffix(".npz")
    assert "random inputs" in tinygen("inspect", model, cwd=tmp_path)
    assert "from 64 samples" in tinygen("inspect", model, "--samples", data, cwd=tmp_path)
    given = ("--model", model, "--samples", data)
    tinygen("new", "app", "--board", "host", *given, cwd=tmp_path)
    made = (tmp_path / "app/src/model").glob("*_weights.c")
    before = {f: f.read_bytes() for f in made}
    assert before
    tinygen("update", "app", *given, cwd=tmp_path)
    assert {f: f.read_bytes() for f in before} == before


def test_check(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    data = DIGITS / "samples.npz"
    record = tinygen_json("check", DIGITS / "model.onnx", "--data", data, cwd=tmp_path)
    assert record["top1_agreement"] >= 0.995
    assert record["mean_abs_lsb"] <= 0.25
    assert abs(record["accuracy_int"] - record["accuracy_onnx"]) <= 0.01


def test_check_with_and_without_fused_weights(tmp_path: Path) -> None:
    """By default where they save parameters; the digits' narrow heads only if asked."""
    pytest.importorskip("onnxruntime")
    radar = RADAR / "model.onnx", "--data", RADAR / "samples.npz"
    found = tinygen_json("check", *radar, cwd=tmp_path)
    assert [f["attention"] for f in found["fused"]] == ["fused-scores", "fused"]
    assert [f["params"] / f["params_unfused"] for f in found["fused"]] == [0.75, 0.5]
    text = tinygen("check", *radar, "--attention", "fused", cwd=tmp_path)
    assert "unfused" in text and "fused-scores" not in text and "16,384" in text
    digits = DIGITS / "model.onnx", "--data", DIGITS / "samples.npz"
    assert tinygen_json("check", *digits, cwd=tmp_path)["fused"] == []
    (asked,) = tinygen_json("check", *digits, "--attention", "fused", cwd=tmp_path)["fused"]
    assert asked["accuracy_int"] >= asked["accuracy_onnx"] - 0.005


def test_inspect_and_new_with_fused_weights(tmp_path: Path) -> None:
    given = RADAR / "model.onnx", "--board", "mps2_an386", "--samples", RADAR / "samples.npz"
    record = tinygen_json("inspect", *given, cwd=tmp_path)
    forms = {f["fusion"]: f for f in record["fusion"]["block0.attention"]}
    assert forms["fused"]["chosen"] and 2 * forms["fused"]["params"] == forms["unfused"]["params"]
    assert "fused weights in 1 attention layer" in record["notes"][-1]
    unfused = tinygen_json("inspect", *given, "--attention", "unfused,whole", cwd=tmp_path)
    layer = next(la for la in unfused["layers"] if la["op"] == "attention")
    assert layer["schedule"].startswith("whole") and unfused["notes"] == []
    tinygen("new", "app", "--model", *given, "--attention", "fused-scores", cwd=tmp_path)
    plan = json.loads((tmp_path / "app/plan.json").read_text())
    chosen = [f["fusion"] for f in plan["fusion"]["block0.attention"] if f["chosen"]]
    assert chosen == ["fused-scores"]
    source = (tmp_path / "app/src/model/tinyradar.c").read_text()
    assert "tg_attention_load_k_s8" in source and "tg_attention_project_v_s8" in source


def test_short_arithmetic(tmp_path: Path) -> None:
    """What it costs is shown, the firmware keeps its promise, and an update stays short."""
    pytest.importorskip("onnxruntime")
    model, data = DIGITS / "model.onnx", DIGITS / "samples.npz"
    long, short = (
        tinygen_json("check", model, "--data", data, *more, cwd=tmp_path)
        for more in ((), ("--short",))
    )
    assert long["mean_abs_lsb"] < short["mean_abs_lsb"] <= 0.5
    assert abs(short["accuracy_int"] - long["accuracy_int"]) <= 0.01
    given = ("--model", model, "--samples", data)
    tinygen("new", "app", "--board", "gap9", *given, "--short", cwd=tmp_path)
    assert tinygen_json("run", "app", cwd=tmp_path)["passed"]
    (weights,) = (tmp_path / "app/src/model").glob("*_weights.c")
    before = weights.read_bytes()
    tinygen("update", "app", *given, cwd=tmp_path)
    assert weights.read_bytes() == before
    tinygen("new", "long", "--board", "gap9", *given, cwd=tmp_path)
    assert (tmp_path / "long/src/model" / weights.name).read_bytes() != before


def test_new_and_run_on_the_host(tmp_path: Path) -> None:
    """The shortest complete command: digits example, folder named after model and board."""
    created = tinygen_json("new", "--board", "host", cwd=tmp_path)
    assert created["folder"] == "digits-host"
    record = tinygen_json("run", "digits-host", cwd=tmp_path)
    assert record["passed"]
    assert record["matching"] == record["samples"] == 32
    assert record["accuracy"] >= 0.9


def test_new_in_the_folder_of_a_fresh_repository(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    tinygen("new", ".", "--board", "host", cwd=tmp_path)
    assert (tmp_path / "CMakeLists.txt").is_file()
    assert (tmp_path / ".git").is_dir()


def test_board_names_are_whole_in_a_pipe(tmp_path: Path) -> None:
    assert "nucleo_h743zi" in tinygen("boards", cwd=tmp_path)


def test_same_input_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        tinygen("new", f"{folder}/app", "--board", "mps2_an500", cwd=tmp_path)
    files = {
        folder: {
            str(f.relative_to(tmp_path / folder)): f.read_bytes()
            for f in (tmp_path / folder).rglob("*")
            if f.is_file()
        }
        for folder in ("a", "b")
    }
    assert files["a"] == files["b"]
