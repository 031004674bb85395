# SPDX-License-Identifier: Apache-2.0
"""One case of tools/same.py: the project is generated, and what it holds becomes a record.

Only entry points that a refactoring keeps are used, so that one script serves both sides of it:
tinygen.boards, tinygen.errors, tinygen.fidelity.quantize, tinygen.project, tinygen.report.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from same_cases import ROOT, Case
from same_drawn import write_drawn
from tinygen import fidelity
from tinygen.boards import load_board
from tinygen.errors import TinygenError
from tinygen.project import Request, new_project
from tinygen.report import page, records, tables

Record = dict[str, Any]
"""files: path -> SHA-256.  predicted: numbers of the plan.  Or refused: the one sentence."""
FOLDER = Path("app")


def record_of(case: Case, keep: Path | None = None) -> Record:
    """keep: a folder in which the project stays, to be looked at."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="same-") as scratch:
        os.chdir(scratch)  # all paths that the generator sees of the project are relative
        try:
            return _record(case, Path(scratch))
        finally:
            os.chdir(before)
            made = Path(scratch) / FOLDER
            if keep is not None and made.exists():
                shutil.copytree(made, keep / case.name.replace("/", "_"), dirs_exist_ok=True)


def _record(case: Case, scratch: Path) -> Record:
    try:
        return _made(case, scratch)
    except TinygenError as refusal:
        return {"refused": _neutral(str(refusal), scratch)}
    except Exception as fault:  # a fault before is to be the same fault after
        return {"fault": _neutral(f"{type(fault).__name__}: {fault}", scratch)}


def _made(case: Case, scratch: Path) -> Record:
    model, quantise = case.model, case.quantise
    if case.drawn is not None:
        assert case.samples is not None
        quantise = write_drawn(case.drawn, model, case.samples)
    if quantise:
        assert case.samples is not None
        model = Path(f"{case.model.stem}_int8.onnx")
        fidelity.quantize(case.model, case.samples, model, force=True, progress=_silent)
    request = Request(
        load_board(case.board),
        model,
        case.samples,
        FOLDER,
        case.template,
        self_test=case.self_test,
        module=case.module,
    )
    request = replace(request, options=replace(request.options, **case.options))
    created = new_project(request)
    if case.schedule:
        created = _scheduled(case, request, created)
    record = records.created_record(created)
    (FOLDER / "report.json").write_text(json.dumps(record, indent=1))
    (FOLDER / "report.txt").write_text(_text(tables.plan_tables(created.plan)))
    (FOLDER / "next.txt").write_text(_text(tables.next_steps(created)))
    page.write_page(FOLDER)
    files = {
        f.relative_to(FOLDER).as_posix(): _digest(f.read_bytes(), scratch)
        for f in sorted(FOLDER.rglob("*"))
        if f.is_file()
    }
    if quantise:
        files["quantised model"] = _digest(model.read_bytes(), scratch)
    return {"files": files, "predicted": _predicted(record)}


def _scheduled(case: Case, request: Request, created: Any) -> Any:
    """The project again, with this one schedule for each attention layer."""
    kind = next(
        getattr(module, "AttentionSchedule")  # noqa: B009
        for name, module in list(sys.modules.items())
        if name.startswith("tinygen.") and hasattr(module, "AttentionSchedule")
    )
    schedules = {name: kind(**case.schedule) for name in created.plan.fusion}
    shutil.rmtree(FOLDER)
    return new_project(replace(request, options=replace(request.options, schedules=schedules)))


def _predicted(record: Record) -> Record:
    """The numbers whose change a reader wants to see as numbers."""
    flat = {k: v for k, v in record.items() if k.endswith(("_bytes", "_predicted", "_estimated"))}
    flat["code"] = record["code"]
    flat["layers"] = [
        f"{s['name']} {s['op']} {s['schedule']} {s['insn_predicted']} {s['cycles_estimated']}"
        for s in record["layers"]
    ]
    return flat


def _silent(done: int, total: int) -> None:
    """Nobody watches."""


def _text(table: Any) -> str:
    console = Console(file=io.StringIO(), width=160, highlight=False, color_system=None)
    console.print(table)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def _digest(data: bytes, scratch: Path) -> str:
    for path, stands in _places(scratch).items():
        data = data.replace(path.encode(), stands.encode())
    return hashlib.sha256(data).hexdigest()


def _neutral(text: str, scratch: Path) -> str:
    for path, stands in _places(scratch).items():
        text = text.replace(path, stands)
    return text


def _places(scratch: Path) -> Mapping[str, str]:
    """Folders that differ from run to run."""
    return {str(scratch.resolve()): "SCRATCH", str(scratch): "SCRATCH", str(ROOT): "ROOT"}
