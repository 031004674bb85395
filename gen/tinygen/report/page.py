# SPDX-License-Identifier: Apache-2.0
"""One self-contained HTML page about a project: no network, no other files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tinygen.errors import TinygenError

PLAN, RUN = "plan.json", "build/run.json"
_NEEDED = {"model", "board", "target", "layers", "regions", "buffers", "notes"}
"""Fields of a plan without which there is nothing to show."""
_ENDS = ({"input", "output"}, {"inputs", "outputs"})
"""Of one each, and of several."""
CHECK_REMEDY = "write it with `tinygen check MODEL --data D.npz --json > check.json`"


def save_run(folder: Path, record: dict[str, Any]) -> None:
    """Keep the last run's record in the project's build folder, for the report."""
    path = folder / RUN
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def write_page(folder: Path, to: Path | None = None, check: Path | None = None) -> Path:
    """Project folder -> path of the page, `report.html` in the folder unless `to` is given.

    check: file with what `tinygen check --json` printed about the model.
    """
    plan = _read(folder / PLAN)
    known = plan is not None and any(plan.keys() >= _NEEDED | ends for ends in _ENDS)
    if plan is not None and not (known and isinstance(plan["board"], dict)):
        raise TinygenError(f"{folder / PLAN} lacks fields of a plan: create the project again")
    if plan is None:
        raise TinygenError(
            f"{folder} has no {PLAN}: it is no tinygen project, or one of an older version; create "
            "it with `tinygen new`"
        )
    to = to or folder / "report.html"
    try:
        to.write_text(page(plan, _read(folder / RUN), _read_check(check)), encoding="utf-8")
    except OSError as e:
        raise TinygenError(f"{to}: cannot be written ({e.strerror or e})") from None
    return to


def page(
    plan: dict[str, Any], run: dict[str, Any] | None, check: dict[str, Any] | None = None
) -> str:
    """The HTML text. plan: as in plan.json; run: as in `run --json`, None = never run; check: as in
    `check --json`, None = not compared with onnxruntime."""
    data = json.dumps({"plan": plan, "run": run, "check": check}, separators=(",", ":")).replace(
        "</", "<\\/"
    )
    here = Path(__file__).parent
    html = (here / "page.html").read_text(encoding="utf-8")
    for mark, text in (
        ("/*STYLE*/", (here / "page.css").read_text(encoding="utf-8")),
        ("/*SCRIPT*/", (here / "page.js").read_text(encoding="utf-8")),
        ("/*DATA*/", data),
        ("<!--TITLE-->", f"{plan['model']} on {plan['board']['name']}"),
    ):
        html = html.replace(mark, text, 1)
    return html


def _read_check(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as e:
        raise TinygenError(f"{path} cannot be read ({e}): {CHECK_REMEDY}") from None
    wanted = {"samples", "top1_agreement", "mean_abs_lsb", "max_abs_lsb"}
    if not isinstance(found, dict) or not wanted <= found.keys():
        raise TinygenError(f"{path} is no record of a check: {CHECK_REMEDY}")
    return found


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("it holds no record")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as e:
        raise TinygenError(f"{path} cannot be read ({e}): create the project again") from None
    return found
