# SPDX-License-Identifier: Apache-2.0
"""What the user must change in a project that an older tinygen made."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from tinygen.emitter import cfile
from tinygen.project.files import is_generated

_SOURCES = {".c", ".h", ".cc", ".cpp", ".cxx", ".hh", ".hpp", ".hxx"}
_BUILDS = {"build", "build-tinygen", "BUILD"}


def header_note(folder: Path, model: str, recorded: Collection[str]) -> str:
    """One sentence if code of the user's includes the model's header by its bare name, else "".

    Headers of a model lay on the include path themselves once; now only their folder does.
    recorded: files of the project as the older version listed them.
    """
    new = cfile.header(model)
    if f"include/{new}" in recorded:
        return ""
    if f"include/{model}.h" in recorded:  # a module: the application lies elsewhere
        return f'the model\'s header has moved: write #include "{new}" in your application'
    found = [f for f in _own_sources(folder) if _includes(folder / f, model)]
    if not found:
        return ""
    return f'the model\'s header has moved: write #include "{new}" in {", ".join(found)}'


def _own_sources(folder: Path) -> Iterator[str]:
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder)
        hidden = any(part in _BUILDS or part.startswith(".") for part in name.parts)
        if hidden or file.suffix not in _SOURCES or is_generated(name.as_posix()):
            continue
        if file.is_file():
            yield name.as_posix()


def _includes(file: Path, model: str) -> bool:
    parts = "|".join(("", "_weights", "_arena", "_samples"))
    line = rf'^\s*#\s*include\s*["<]{re.escape(model)}({parts})\.h[">]'
    return re.search(line, file.read_text(errors="replace"), re.MULTILINE) is not None
