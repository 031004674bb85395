# SPDX-License-Identifier: Apache-2.0
"""Folders of kernels/src are layers: what includes and calls what goes one way.

An operator may call another one by its contract in include/tinygen, whichever folder implements it
for a target: portable/conv.c calls the target's tg_linear_s8. What a folder's own headers declare
is called from that folder and from those that stand above it only.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tinygen.targets import every_kernel, get_target

KERNELS = Path(__file__).parents[2] / "kernels"
SOURCE = KERNELS / "src"

BELOW = {
    "common": set[str](),
    "runtime": set[str](),
    "portable": {"common"},
    "armv7em": {"common"},
    "xpulpv2": {"common"},
    "cluster": {"common", "xpulpv2"},
}
"""The folders whose private headers a folder may include, besides its own."""

ARM = ("-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16", "-ffreestanding")
LIBRARIES = {
    "portable": ("", ()),
    "armv7em": ("arm-none-eabi-", ARM),
    "xpulpv2": ("", ()),
    "cluster": ("", ()),
}
"""Prefix of the compiler and its flags, for the kernels that are linked together on a target."""


def included(file: Path) -> list[str]:
    return re.findall(r'^\s*#\s*include\s+"([^"]+)"', file.read_text(encoding="utf-8"), re.M)


def contracts() -> str:
    headers = sorted((KERNELS / "include/tinygen").glob("*.h"))
    return "\n".join(f.read_text(encoding="utf-8") for f in headers)


def library(target: str) -> list[Path]:
    """What the generator takes for every kernel, and all other files of the target's folder."""
    chip = get_target("xpulpv2" if target == "cluster" else target)
    sources = {source for kernel in every_kernel() for source in chip.sources(kernel)}
    files = {SOURCE / source for source in sources} | set((SOURCE / target).glob("*.c"))
    if target == "cluster":
        files |= set((SOURCE / "xpulpv2").glob("*.c"))
        files |= {SOURCE / "runtime" / f"{n}.c" for n in ("team_single", "dma_host", "l3_host")}
    return sorted(files)


def name(file: Path) -> str:
    return file.relative_to(SOURCE).as_posix()


def calls(target: str, into: Path) -> set[tuple[str, str, str]]:
    """(file, symbol, file that defines it) of a library's global symbols."""
    prefix, flags = LIBRARIES[target]
    if shutil.which(f"{prefix}gcc") is None or shutil.which(f"{prefix}nm") is None:
        pytest.skip(f"no {prefix}gcc")
    defined: dict[str, str] = {}
    needed: list[tuple[str, str]] = []
    for file in library(target):
        out = into / name(file).replace("/", "_").replace(".c", ".o")
        folders = (f"-I{KERNELS / 'include'}", f"-I{SOURCE}")
        compile_ = [f"{prefix}gcc", "-std=c11", "-O1", *flags, *folders, "-c", file, "-o", out]
        subprocess.run(compile_, check=True)
        table = subprocess.run([f"{prefix}nm", "-g", out], capture_output=True, text=True)
        for kind, symbol in re.findall(r"\b([A-Z]) (\w+)$", table.stdout, re.M):
            if kind == "U":
                needed.append((name(file), symbol))
            else:
                assert defined.setdefault(symbol, name(file)) == name(file), symbol
    found = {(user, symbol, defined[symbol]) for user, symbol in needed if symbol in defined}
    lost = {s for _, s in needed if s.startswith("tg_")} - set(defined)
    assert not lost, f"nobody defines {lost}"
    return found


def folder(file: str) -> str:
    return file.split("/")[0]


def assert_one_way(edges: set[tuple[str, str]]) -> None:
    """Raises CycleError, which names the cycle."""
    graph: dict[str, set[str]] = {}
    for user, used in edges:
        if user != used:
            graph.setdefault(user, set()).add(used)
    TopologicalSorter(graph).prepare()


def test_every_folder_has_its_place() -> None:
    assert {f.name for f in SOURCE.iterdir()} == set(BELOW)
    assert_one_way({(user, used) for user, below in BELOW.items() for used in below})


def test_folders_include_only_what_is_below() -> None:
    for file in sorted(SOURCE.rglob("*.[ch]")):
        here = folder(name(file))
        private = {folder(i) for i in included(file) if (SOURCE / i).is_file()}
        assert private <= BELOW[here] | {here}, name(file)


def test_no_file_is_included_to_be_compiled_again() -> None:
    edges = set()
    for file in sorted(KERNELS.rglob("*.[ch]")):
        root = KERNELS / "include" if "include" in file.parts else SOURCE
        this = file.relative_to(root).as_posix()
        sources = [i for i in included(file) if not i.endswith(".h")]
        assert not sources, f"{this} includes {sources}"
        assert this not in included(file), f"{this} includes itself"
        edges |= {(this, i) for i in included(file)}
    assert_one_way(edges)


@pytest.mark.parametrize("target", LIBRARIES)
def test_calls_go_one_way(target: str, tmp_path: Path) -> None:
    found = calls(target, tmp_path)
    assert found
    assert_one_way({(user, used) for user, _, used in found})
    assert_one_way({(folder(user), folder(used)) for user, _, used in found})
    public = contracts()
    for user, symbol, used in found:
        if folder(used) == "runtime":
            assert folder(user) in ("cluster", "runtime"), "an operator of one core knows no team"
        if not re.search(rf"\b{symbol}\b", public):
            assert folder(used) in BELOW[folder(user)] | {folder(user)}, (user, symbol, used)
