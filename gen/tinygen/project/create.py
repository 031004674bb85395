# SPDX-License-Identifier: Apache-2.0
"""Plan + sources + template -> a folder that builds."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from cookiecutter.generate import generate_files

from tinygen import __version__
from tinygen.emitter import Samples, emit
from tinygen.errors import TinygenError
from tinygen.planner import Plan
from tinygen.resources import resource

MANIFEST = "tinygen.json"


def create_project(plan: Plan, samples: Samples | None, template: str, folder: Path) -> Path:
    """Write the project. All or nothing: it is made elsewhere and moved into place at the end.

    Raises `TinygenError` if the folder holds anything already or cannot be written.
    """
    require_free(folder)
    try:
        with tempfile.TemporaryDirectory(prefix="tinygen-") as scratch:
            made = _render(plan, template, Path(scratch), folder.name)
            _write_model(plan, samples, made)
            _write_kernels(plan, made)
            _write_sources_list(made)
            _write_manifest(plan, samples, template, made)
            folder.parent.mkdir(parents=True, exist_ok=True)
            if folder.exists():
                folder.rmdir()
            shutil.move(made, folder)
    except OSError as e:
        raise TinygenError(
            f"{folder}: cannot be written ({e.strerror or e}): choose another folder"
        ) from None
    return folder


def require_free(folder: Path) -> None:
    """`TinygenError` unless the folder is absent or empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise TinygenError(
            f"{folder} exists and is not empty: choose another folder or remove it first"
        )


def _render(plan: Plan, template: str, into: Path, name: str) -> Path:
    board = plan.board
    regions = [
        {k: getattr(r, k) for k in ("name", "kind", "base", "size", "section")}
        for r in board.memory
    ]
    context: dict[str, Any] = {
        "folder": name,
        "model": plan.model,
        "MODEL": plan.model.upper(),
        "board": board.name,
        "board_title": board.title,
        "cpu": board.core.cpu,
        "cflags": " ".join(board.core.cflags),
        "linker": {"regions": regions},
        "stack_bytes": "16384",
        "qemu_machine": board.emulation.qemu_machine or "",
        "host": board.emulation.host,
        "version": __version__,
    }
    # generate_files, not cookiecutter(): the latter also writes a replay file under HOME.
    made = generate_files(
        repo_dir=str(resource("templates") / template),
        context={"cookiecutter": context},
        output_dir=str(into),
    )
    return Path(made)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def _write_model(plan: Plan, samples: Samples | None, made: Path) -> None:
    for name, text in emit(plan, samples).items():
        _write(made / "src" / "model" / name, text)


def _write_kernels(plan: Plan, made: Path) -> None:
    """The kernels that this network calls, with the headers that they include."""
    root = resource("kernels")
    for source in plan.sources:
        _write(made / "src/tinygen/src" / source, (root / "src" / source).read_text())
    folders = {"common", *(str(Path(s).parent) for s in plan.sources)}
    headers = [h for f in sorted(folders) for h in sorted((root / "src" / f).glob("*.h"))]
    for header in headers:
        _write(made / "src/tinygen/src" / header.relative_to(root / "src"), header.read_text())
    for header in sorted((root / "include/tinygen").glob("*.h")):
        _write(made / "src/tinygen/include/tinygen" / header.name, header.read_text())


def _write_sources_list(made: Path) -> None:
    files = sorted(
        str(f.relative_to(made))
        for folder in ("src/model", "src/tinygen")
        for f in (made / folder).rglob("*.c")
    )
    listing = "".join(f"  {f}\n" for f in files)
    _write(
        made / "sources.cmake",
        "# SPDX-License-Identifier: Apache-2.0\n"
        "# Written by tinygen: the model and the kernels that it calls.\n"
        f"set(TG_SOURCES\n{listing})\n",
    )


def _write_manifest(plan: Plan, samples: Samples | None, template: str, made: Path) -> None:
    """tinygen.json: what the runner and later updates need to know."""
    files = {
        str(f.relative_to(made)): hashlib.sha256(f.read_bytes()).hexdigest()
        for f in sorted(made.rglob("*"))
        if f.is_file()
    }
    manifest = {
        "generator": __version__,
        "model": plan.model,
        "model_hash": plan.model_hash,
        "board": plan.board.name,
        "template": template,
        "target": plan.target,
        "samples": 0 if samples is None else len(samples.inputs),
        "arena_bytes": plan.arena_bytes,
        "const_bytes": plan.const_bytes,
        "regions": [{"name": r.name, "used": r.used, "size": r.size} for r in plan.regions],
        "layers": [
            {"name": s.name, "op": s.op, "macs": s.macs, "schedule": s.schedule} for s in plan.steps
        ],
        "files": files,
    }
    _write(made / MANIFEST, json.dumps(manifest, indent=1) + "\n")
