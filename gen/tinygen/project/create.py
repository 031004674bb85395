# SPDX-License-Identifier: Apache-2.0
"""Plan + sources + template -> a folder that builds."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from cookiecutter.generate import generate_files

from tinygen.emitter import Samples
from tinygen.errors import TinygenError
from tinygen.names import check_folder
from tinygen.planner import Options, Plan
from tinygen.project.context import Variables, variables
from tinygen.project.files import write_generated
from tinygen.project.manifest import write_manifest
from tinygen.resources import resource

_SHARED = {"baremetal": ("console",), "pulp-sdk": ("console",)}
"""Folders of templates/ whose files a template takes besides its own."""


def create_project(
    plan: Plan,
    samples: Samples | None,
    template: str,
    folder: Path,
    options: Options | None = None,
) -> Path:
    """Write the project; options are those of the plan, for updates. All or nothing: it
    is made elsewhere and moved into place at the end.

    Raises `TinygenError` if the folder holds anything already or cannot be written.
    """
    require_free(folder, template)
    try:
        with tempfile.TemporaryDirectory(prefix="tinygen-") as scratch:
            made = render_project(
                plan, samples, template, Path(scratch), folder.resolve().name, options
            )
            _move_into(made, folder)
    except OSError as e:
        raise TinygenError(
            f"{folder}: cannot be written ({e.strerror or e}): choose another folder"
        ) from None
    return folder


def render_project(
    plan: Plan,
    samples: Samples | None,
    template: str,
    into: Path,
    name: str,
    options: Options | None = None,
) -> Path:
    """The whole project, for a folder of that name, in a folder of `into`."""
    made = render_template(template, variables(plan, template, name), into).rename(into / "made")
    write_generated(plan, samples, template, made)
    write_manifest(plan, samples, template, made, options or Options())
    return made


def render_template(template: str, values: Variables, into: Path) -> Path:
    """The template's files and those that it shares with another, in a folder of `into`."""
    for part in (template, *_SHARED.get(template, ())):
        # generate_files, not cookiecutter(): the latter also writes a replay file under HOME.
        rendered = generate_files(
            repo_dir=str(resource("templates") / part),
            context={"cookiecutter": values},
            output_dir=str(into),
            overwrite_if_exists=part != template,
        )
    return Path(rendered)


def require_free(folder: Path, template: str) -> None:
    """`TinygenError` unless the folder is absent or empty (.git does not count), and the template's
    build system takes its path."""
    check_folder(folder, template)
    if folder.exists() and (not folder.is_dir() or any(f.name != ".git" for f in folder.iterdir())):
        raise TinygenError(
            f"{folder} exists and is not empty: choose another folder, or bring a project of "
            "tinygen up to date with `tinygen update`"
        )


def _move_into(made: Path, folder: Path) -> None:
    """A rename where the folder is absent; else part by part, undone on error."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(made, folder)
        return
    moved: list[Path] = []
    try:
        for part in sorted(made.iterdir()):
            moved.append(folder / part.name)
            shutil.move(part, folder / part.name)
    except OSError:
        for part in moved:
            shutil.rmtree(part, ignore_errors=True) if part.is_dir() else part.unlink(
                missing_ok=True
            )
        raise
