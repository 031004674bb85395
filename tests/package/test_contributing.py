# SPDX-License-Identifier: Apache-2.0
"""CONTRIBUTING's worked examples, done in a copy of the tree as they are written."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).parents[2]
COPIED = ("gen", "kernels", "boards", "templates", "example_models/digits", "tests/kernels")
COPIED += ("tests/operators", "tests/machine.py")
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.M | re.S)
RANDOM_CASES = """
import sys
from pathlib import Path
sys.path[:0] = ["tests", "tests/kernels", "tests/operators"]
import kernel_harness as harness
from operator_program import judge, many, program
from tinygen.targets import get_target
target = get_target(sys.argv[1])
cases = many(target, 5, 6)
Path("cases.c").write_text(program(cases))
built = harness.build_host(target, Path.cwd(), Path("cases.c"))
judge(cases, harness.on_host(built, bytes(4), 1 << 20))
print(*sorted({case.case.op.word for case in cases}))
"""


def section(title: str) -> str:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    start = text.index(f"## {title}\n")
    end = text.find("\n## ", start)
    return text[start : end if end >= 0 else len(text)]


def follow(title: str, tree: Path) -> list[str]:
    """Write the files of a section's blocks and apply its differences; the files' names."""
    written = []
    for language, name, body in BLOCK.findall(section(title)):
        if name:
            path = tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(body, encoding="utf-8")
            written.append(name)
        elif language == "diff":
            subprocess.run(
                ["git", "apply", "--unidiff-zero", "-"], cwd=tree, input=body, text=True, check=True
            )
    return written


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in COPIED:
        source, to = ROOT / name, tmp_path / name
        if source.is_dir():
            shutil.copytree(source, to, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, to)
    return tmp_path


def python(tree: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(tree / "gen")}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=tree, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def running_sums(folder: Path) -> None:
    """A quantised model with a CumSum, and samples for it."""
    rng = np.random.default_rng(0)
    constants = {"axis": np.array(1), "w": rng.integers(-127, 128, (6, 4), np.int8)}
    constants |= {"ws": np.float32(0.011), "wz": np.int8(0)}
    nodes = []

    def rounded(x: str, scale: float, zero: int) -> str:
        constants[f"{x}_s"], constants[f"{x}_z"] = np.float32(scale), np.int8(zero)
        grid = (f"{x}_s", f"{x}_z")
        nodes.append(helper.make_node("QuantizeLinear", [x, *grid], [f"{x}_q"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{x}_q", *grid], [f"{x}_d"]))
        return f"{x}_d"

    nodes_in = rounded("x", 0.053, 3)
    nodes.append(helper.make_node("CumSum", [nodes_in, "axis"], ["sums"]))
    sums = rounded("sums", 0.2, -7)
    nodes.append(helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["weights"]))
    nodes.append(helper.make_node("MatMul", [sums, "weights"], ["y"]))
    last = rounded("y", 0.1, 0)
    graph = helper.make_graph(
        nodes,
        "running",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 9, 6])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, [1, 9, 4])],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), folder / "running.onnx")
    samples = rng.normal(0, 2, (20, 9, 6)).astype(np.float32)
    np.savez(folder / "running.npz", x=samples)


@pytest.mark.slow
def test_an_operator(tree: Path) -> None:
    running_sums(tree)
    command = ("-m", "tinygen", "check", "running.onnx", "--data", "running.npz")
    environment = {**os.environ, "PYTHONPATH": str(tree / "gen")}
    before = subprocess.run([sys.executable, *command], cwd=tree, env=environment, text=True,
                            capture_output=True)  # fmt: skip
    assert before.returncode == 1 and "CumSum" in before.stderr

    assert len(follow("Add an operator", tree)) == 3
    said = python(tree, *command, "--json")
    found = re.search(r'"mean_abs_lsb": ([\d.]+)', said)
    assert found and float(found[1]) < 0.05, said
    new = ("--model", "running.onnx", "--samples", "running.npz", "--board", "host")
    python(tree, "-m", "tinygen", "new", "app", *new)
    assert "20/20 samples bit-equal" in python(tree, "-m", "tinygen", "run", "app")
    assert "cumsum" in python(tree, "-c", RANDOM_CASES, "portable")


@pytest.mark.slow
def test_a_target(tree: Path) -> None:
    assert len(follow("Add a target", tree)) == 2
    ask = "from tinygen.targets import get_target; print(get_target('armv6m').sources('lut'))"
    assert "armv6m/lut.c" in python(tree, "-c", ask)
    assert "lut" in python(tree, "-c", RANDOM_CASES, "armv6m")


def test_a_board(tree: Path) -> None:
    assert follow("Add a board", tree) == ["tracker.yaml"]
    said = python(tree, "-m", "tinygen", "new", "app", "--board", "./tracker.yaml")
    assert "Created app" in said and (tree / "app/src/model/digits.c").is_file()
