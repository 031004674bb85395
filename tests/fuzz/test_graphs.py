# SPDX-License-Identifier: Apache-2.0
"""Random graphs: the right numbers, or a sentence about the model.

`tools/fuzz.py` runs thousands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fuzz.draw import draw, draw_several
from fuzz.judge import judge
from fuzz.workers import Job, run_one
from tinygen.passes import algebra, pipeline

SEED, PARTS, EACH = 1, 20, 12


@pytest.mark.parametrize("part", range(PARTS))
def test_random_graphs(part: int, tmp_path: Path) -> None:
    outcomes = [run_one(Job("graphs", SEED, part * EACH + i), tmp_path) for i in range(EACH)]
    finds = [f"case {o.case}: {o.text}" for o in outcomes if o.kind == "find"]
    assert not finds, "\n".join(finds)
    assert sum(o.kind == "taken" for o in outcomes) >= EACH // 4


@pytest.mark.parametrize("part", range(5))
def test_graphs_of_several_outputs(part: int, tmp_path: Path) -> None:
    """Every output is that of onnxruntime, or a sentence says why not."""
    several = [(c, draw_several(SEED, c)) for c in range(part * EACH, (part + 1) * EACH)]
    found = [(c, judge(drawn, tmp_path, c)) for c, drawn in several if drawn.more]
    finds = [f"case {c}: {v.text}" for c, v in found if v.kind == "find"]
    assert not finds, "\n".join(finds)
    assert sum(v.kind == "taken" for _, v in found) >= 2


def test_a_seed_is_one_graph() -> None:
    first, second = draw(5, 3), draw(5, 3)
    assert first.model.SerializeToString() == second.model.SerializeToString()
    assert first.model.SerializeToString() != draw(5, 4).model.SerializeToString()


def test_a_wrong_number_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With biases of the wrong sign, some of the graphs that were taken are finds."""
    real = algebra.shifted
    monkeypatch.setattr(algebra, "shifted", lambda s, p, c: real(s, p, -np.asarray(c)))
    kinds = {judge(draw(SEED, case), tmp_path, case).kind for case in range(24)}
    assert "find" in kinds and pipeline.QUICK.canonical
