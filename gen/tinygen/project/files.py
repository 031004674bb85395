# SPDX-License-Identifier: Apache-2.0
"""The generated part of a project: the model, the kernels it calls, and the list of sources."""

from __future__ import annotations

from pathlib import Path

from tinygen.emitter import Samples, emit, emit_binary
from tinygen.planner import Plan
from tinygen.project.planrecord import PLAN, plan_record
from tinygen.resources import resource

BEGIN, END = "# >>> tinygen", "# <<< tinygen"
"""Lines around the part of app.cmake that `tinygen update` replaces."""
INCLUDE = "include_directories(${CMAKE_CURRENT_LIST_DIR}/include)\n"
"""Here and not in CMakeLists.txt, which is the user's and may be older."""
_FOLDERS = ("src/model/", "src/tinygen/", "include/")
_OURS = ("sources.cmake", PLAN, "cmake/tinygen.cmake", "src/memory_clocks.c")


def is_generated(name: str) -> bool:
    """Whether a file of a project is tinygen's alone; the others are the user's to edit."""
    return name.startswith(_FOLDERS) or name in _OURS


def generated_block(path: Path) -> str:
    """The part of app.cmake between the marks, with them; empty unless there is exactly one."""
    text = read_own(path)
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        return ""
    return text[text.index(BEGIN) : text.index(END) + len(END)]


def read_own(path: Path) -> str:
    """A file of the user's, in whatever encoding; `errors="surrogateescape"` writes it back."""
    return path.read_text(encoding="utf-8", errors="surrogateescape")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def write_generated(plan: Plan, samples: Samples | None, template: str, made: Path) -> None:
    """Beside what the template rendered."""
    for name, text in emit(plan, samples).items():
        write(made / ("include" if name.endswith(".h") else "src/model") / name, text)
    for name, data in emit_binary(plan).items():
        (made / "src/model" / name).write_bytes(data)
    write(made / PLAN, plan_record(plan, samples, template))
    _write_kernels(plan, made)
    if template == "pulp-sdk":
        l3 = "".join(f"TG_L3_FILE = src/model/{name}\n" for name in emit_binary(plan))
        listed = _makefile("TG_SOURCES", _sources(made, True))
        write(made / "sources.mk", _head() + listed + l3 + "APP_CFLAGS += -Iinclude\n")
    if template in ("baremetal", "pulp-sdk"):
        listed = _listing("TG_SOURCES", _sources(made, True))
        write(made / "sources.cmake", _head() + listed + INCLUDE)
    else:
        write(made / "app.cmake", _app_cmake(made))


def _write_kernels(plan: Plan, made: Path) -> None:
    """The kernels that this network calls, with the headers that they include."""
    root = resource("kernels")
    for source in plan.sources:
        write(
            made / "src/tinygen/src" / source, (root / "src" / source).read_text(encoding="utf-8")
        )
    folders = {"common", *(str(Path(s).parent) for s in plan.sources)}
    headers = [h for f in sorted(folders) for h in sorted((root / "src" / f).glob("*.h"))]
    for header in headers:
        write(
            made / "src/tinygen/src" / header.relative_to(root / "src"),
            header.read_text(encoding="utf-8"),
        )
    for header in sorted((root / "include/tinygen").glob("*.h")):
        write(
            made / "src/tinygen/include/tinygen" / header.name, header.read_text(encoding="utf-8")
        )


def _sources(made: Path, generated: bool) -> list[str]:
    every = sorted(f.relative_to(made).as_posix() for f in (made / "src").rglob("*.c"))
    return [f for f in every if is_generated(f) == generated]


def _head() -> str:
    return (
        "# SPDX-License-Identifier: Apache-2.0\n"
        "# Written by tinygen: the model and the kernels that it calls.\n"
    )


def _listing(name: str, files: list[str]) -> str:
    return f"set({name}\n" + "".join(f"  {f}\n" for f in files) + ")\n"


def _makefile(name: str, files: list[str]) -> str:
    return f"{name} = \\\n" + " \\\n".join(f"  {f}" for f in files) + "\n"


def _app_cmake(made: Path) -> str:
    return (
        "# SPDX-License-Identifier: Apache-2.0\n"
        "# Every .c file under src/, once. Add your own to APP_SOURCES.\n"
        f"{_listing('APP_SOURCES', _sources(made, False))}\n"
        f"{BEGIN}: the model and the kernels that it calls\n"
        f"{_listing('TG_SOURCES', _sources(made, True))}"
        f"{END}\n"
    )
