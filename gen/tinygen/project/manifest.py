# SPDX-License-Identifier: Apache-2.0
"""tinygen.json: what the runner and later updates need to know about a project."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tinygen import __version__
from tinygen.emitter import Samples
from tinygen.planner import Options, Plan
from tinygen.project.files import generated_block

MANIFEST = "tinygen.json"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def manifest(
    plan: Plan, samples: Samples | None, template: str, made: Path, options: Options
) -> dict[str, Any]:
    """files: SHA-256 of every file as it was generated, and of the generated block of app.cmake."""
    files = {
        f.relative_to(made).as_posix(): digest(f)
        for f in sorted(made.rglob("*"))
        if f.is_file() and f.name != MANIFEST
    }
    app = made / "app.cmake"
    if app.is_file():
        files["app.cmake:block"] = hashlib.sha256(
            generated_block(app).encode("utf-8", "surrogateescape")
        ).hexdigest()
    return {
        "generator": __version__,
        "model": plan.model,
        "model_hash": plan.model_hash,
        "board": plan.board.name,
        "board_description": plan.board.model_dump(mode="json", exclude_defaults=True),
        "template": template,
        "options": {
            k: v for k, v in asdict(options).items() if k != "schedules" and (k != "outputs" or v)
        },
        "target": plan.target,
        "samples": 0 if samples is None else len(samples.inputs),
        **({} if plan.single else {"outputs": [end.name for end in plan.outputs]}),
        "arena_bytes": plan.arena_bytes,
        "const_bytes": plan.const_bytes,
        "regions": [{"name": r.name, "used": r.used, "size": r.size} for r in plan.regions],
        "layers": [
            {
                "name": s.name,
                "op": s.op,
                "macs": s.macs,
                "schedule": s.schedule,
                "instructions": s.instructions,
                "cycles": s.cycles,
            }
            for s in plan.steps
        ],
        "files": files,
    }


def write_manifest(
    plan: Plan, samples: Samples | None, template: str, made: Path, options: Options
) -> None:
    text = json.dumps(manifest(plan, samples, template, made, options), indent=1) + "\n"
    (made / MANIFEST).write_text(text, encoding="utf-8", newline="\n")
