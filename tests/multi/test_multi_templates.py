# SPDX-License-Identifier: Apache-2.0
"""Every template, for a model of several ends: nothing of it is left; all that it calls exists."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from graphs import GraphBuilder
from tinygen.boards import load_board
from tinygen.planner import make_plan
from tinygen.project.create import create_project
from tinygen.project.promise import promise, random_samples

TEMPLATES = {
    "baremetal": "mps2_an500",
    "pulp-sdk": "gap9_evk",
    "zephyr": "nucleo_h743zi",
    "zephyr-module": "nucleo_h743zi",
}


BESIDE = {"NET_L3_FILE", "net_open", "net_l3", "net_dequantise_", "net_arena_"}
"""Not of this plan, and starts of names in texts."""


@pytest.mark.parametrize("template", TEMPLATES)
def test_it_calls_what_there_is(template: str, tmp_path: Path) -> None:
    b = GraphBuilder((4, 8))
    total = b.add("sum", b.residual(), b.add("first", b.linear(8, 8)), b.entry("other", 4, 8))
    graph = b.graph(b.add("left", b.linear(3, 8), total), b.add("right", b.linear(5, 8), total))
    samples = promise(graph, random_samples(graph, 2), np.array([[1, -1], [0, 2]]))
    plan = make_plan(graph, load_board(TEMPLATES[template]))
    folder = create_project(plan, samples, template, tmp_path / "p")
    header = (folder / "include/tinygen_model/net.h").read_text()
    stored = (folder / "include/tinygen_model/net_samples.h").read_text()
    known = set(re.findall(r"\b(net_\w+|NET_\w+)", header + stored))
    for file in folder.rglob("*"):
        text = file.read_text() if file.is_file() else ""
        assert "cookiecutter" not in text and "{%" not in text, file
        if file.suffix in (".c", ".md") and "model" not in file.parts:
            used = set(re.findall(r"\b(net_(?!samples\b|arena\b)\w+|NET_\w+)", text))
            assert used <= known | BESIDE, (file, used - known)
    assert "out_0" in header and "other" in header
