# SPDX-License-Identifier: Apache-2.0
"""Damaged models, samples and boards: an answer or one sentence. `tools/fuzz.py` runs thousands."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz import files
from fuzz.workers import Job, run_all, run_one

SEED, PARTS, EACH = 1, 20, 15


@pytest.mark.parametrize("part", range(PARTS))
def test_damaged_files(part: int, tmp_path: Path) -> None:
    outcomes = [run_one(Job("files", SEED, part * EACH + i), tmp_path) for i in range(EACH)]
    finds = [f"case {o.case}: {o.text}" for o in outcomes if o.kind == "find"]
    assert not finds, "\n".join(finds)
    assert any(o.kind == "refused" for o in outcomes)


def test_a_traceback_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> str:
        raise KeyError("nothing")

    monkeypatch.setattr(files, "_command", broken)
    outcome = run_one(Job("files", SEED, 0), tmp_path)
    assert outcome.kind == "find" and "KeyError" in outcome.text


def test_a_process_that_dies_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the cases after it run in another."""
    import os

    real = files._command

    def broken(what: str, *rest: Path) -> str:
        if what == "check":
            os._exit(3)
        return real(what, *rest)

    monkeypatch.setattr(files, "_command", broken)
    outcomes = list(run_all([Job("files", SEED, i) for i in range(6)], workers=1))
    assert len(outcomes) == 6
    assert any("crash of the process, exit 3" in o.text for o in outcomes)
