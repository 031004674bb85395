# SPDX-License-Identifier: Apache-2.0
"""A retrained model into an existing project: what the user edited stays, what tinygen wrote goes.

A file whose hash is still that of the manifest was not edited and is written anew. An edited file
stays if it is the user's; if it is a generated one, nothing at all is written unless ``force``.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from tinygen.errors import TinygenError
from tinygen.graph import Graph
from tinygen.planner import Plan
from tinygen.project.create import render_project
from tinygen.project.files import BEGIN, END, generated_block, is_generated, read_own
from tinygen.project.manifest import MANIFEST, digest
from tinygen.project.new import load_graph, samples_of
from tinygen.project.older import header_note
from tinygen.project.planned import plan_model
from tinygen.project.promise import Progress, promise
from tinygen.project.recorded import read_manifest

_APP = "app.cmake"


@dataclass(frozen=True, eq=False)
class Updated:
    """written, kept (edited by the user), removed: paths in the project.  note: what the user must
    change by hand, or empty."""

    folder: Path
    graph: Graph
    plan: Plan
    samples: int
    written: tuple[str, ...]
    kept: tuple[str, ...]
    removed: tuple[str, ...]
    note: str = ""


def update_project(
    folder: Path,
    model: Path,
    samples: Path | None = None,
    self_test: int = 32,
    force: bool = False,
    progress: Progress | None = None,
) -> Updated:
    """Regenerate for another model (or another version of tinygen). The C names stay.

    force: overwrite generated files that were edited; each is first copied to <file>.orig.
    Raises `TinygenError` before anything is written.
    """
    old = read_manifest(folder)
    options = old.plan_options()
    graph = replace(load_graph(model, old.model, samples, options.outputs), name=old.model)
    planned = plan_model(graph, old.load_board(), options, samples, progress)
    graph, plan = planned.graph, planned.plan
    x, y = samples_of(graph, samples, self_test, plan)
    promised = promise(graph, x, y, progress)
    with tempfile.TemporaryDirectory(prefix="tinygen-") as scratch:
        name = folder.resolve().name
        made = render_project(plan, promised, old.template, Path(scratch), name, options)
        _merge_app(folder, made)
        changes = _compare(folder, made, old.files)
        if changes.edited and not force:
            raise TinygenError(
                f"{folder}: generated files were edited: {', '.join(changes.edited)}; move the "
                "edits into your own files, or overwrite these with --force (each is kept as .orig)"
            )
        try:
            _apply(folder, made, changes)
        except OSError as e:
            raise TinygenError(
                f"{folder}: cannot be written ({e.strerror or e}): make it writable and run the "
                "update again"
            ) from None
    written = tuple(f for f in changes.written if f != MANIFEST)
    note = header_note(folder, old.model, old.files)
    return Updated(folder, graph, plan, len(x), written, changes.kept, changes.removed, note)


@dataclass(frozen=True)
class _Changes:
    """edited: generated files that somebody changed; they are in written too."""

    written: tuple[str, ...]
    kept: tuple[str, ...]
    edited: tuple[str, ...]
    removed: tuple[str, ...]


def _compare(folder: Path, made: Path, recorded: dict[str, str]) -> _Changes:
    new = {f.relative_to(made).as_posix(): f for f in sorted(made.rglob("*")) if f.is_file()}
    written: list[str] = []
    kept: list[str] = []
    edited: list[str] = []
    for name, source in new.items():
        target = folder / name
        if target.is_file() and target.read_bytes() == source.read_bytes():
            continue
        if name in (MANIFEST, _APP):  # app.cmake was merged
            written.append(name)
        elif not target.exists():
            # A file of the user's that is gone was deleted on purpose.
            (kept if name in recorded and not is_generated(name) else written).append(name)
        elif digest(target) == recorded.get(name):
            written.append(name)
        elif is_generated(name):
            written.append(name)
            edited.append(name)
        else:
            kept.append(name)
    removed = []
    for name, hashed in recorded.items():
        target = folder / name
        if name not in new and is_generated(name) and target.is_file():
            removed.append(name)
            if digest(target) != hashed:
                edited.append(name)
    edited += _edited_block(folder, recorded)
    return _Changes(tuple(written), tuple(kept), tuple(edited), tuple(removed))


def _apply(folder: Path, made: Path, changes: _Changes) -> None:
    """The manifest goes last: an update that was cut off can be repeated."""
    for name in changes.edited:
        original = folder / name.removesuffix(f" ({BEGIN})")
        shutil.copy2(original, original.with_name(f"{original.name}.orig"))
    for name in sorted(changes.written, key=lambda n: n == MANIFEST):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made / name, target)
    for name in changes.removed:
        (folder / name).unlink()


# -- app.cmake: the user's list beside ours -----------------------------------------------------


def _edited_block(folder: Path, recorded: dict[str, str]) -> list[str]:
    path = folder / _APP
    if not path.is_file() or f"{_APP}:block" not in recorded:
        return []
    hashed = hashlib.sha256(generated_block(path).encode("utf-8", "surrogateescape")).hexdigest()
    return [] if hashed == recorded[f"{_APP}:block"] else [f"{_APP} ({BEGIN})"]


def _merge_app(folder: Path, made: Path) -> None:
    """The new block into the user's file."""
    mine, new = folder / _APP, made / _APP
    if not new.is_file() or not mine.is_file():
        return
    block, fresh = generated_block(mine), generated_block(new)
    if not block:
        raise TinygenError(
            f"{mine}: the lines `{BEGIN}` and `{END}` are gone, so its list of sources cannot be "
            f"updated: put them back around set(TG_SOURCES ...)"
        )
    merged = read_own(mine).replace(block, fresh)
    new.write_text(merged, encoding="utf-8", errors="surrogateescape", newline="\n")
