# SPDX-License-Identifier: Apache-2.0
"""Build a generated project with CMake and Ninja."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tinygen.boards import Board
from tinygen.errors import TinygenError
from tinygen.runner.elf import read_elf
from tinygen.runner.project import read_project
from tinygen.runner.toolchain import Toolchain

_COMPILER = re.compile(r"(?<!CMake )(?<!ninja: )\berror: (?!ld returned)")
_ERROR = re.compile(
    r"error:|undefined reference|undefined symbol|overflowed by|will not fit|CMake Error"
)


@dataclass(frozen=True)
class Built:
    """flash_bytes, ram_bytes: what the linker placed, initialised data in both; stack in RAM."""

    elf: Path
    flash_bytes: int
    ram_bytes: int
    compiler: str
    flags: str


def build(project: Path, board: Board, toolchain: Toolchain) -> Built:
    """The project's ELF file, up to date. The build folder is <project>/build/<toolchain>."""
    read_project(project)
    folder = project / "build" / toolchain.name
    configure = _configure_command(project.resolve(), folder.resolve(), toolchain)
    configure_and_build(configure, folder, project, toolchain.cmake)
    path = folder / ("firmware" if board.emulation.host else "firmware.elf")
    if not path.is_file():
        raise TinygenError(
            f"{project} builds, but not to {path.name}: its CMakeLists.txt must call "
            "add_executable(firmware ...); `tinygen new` writes one to compare with"
        )
    elf = read_elf(path)
    return Built(path, elf.flash_bytes, elf.ram_bytes, toolchain.version, compiler_flags(folder))


def configure_and_build(
    configure: list[str],
    folder: Path,
    project: Path,
    cmake: str,
    environment: dict[str, str] | None = None,
) -> None:
    """Run CMake in the build folder, anew where its arguments are not those of last time."""
    stamp = folder / "tinygen-configured"
    command = os.fsencode("\n".join(configure))
    if not stamp.is_file() or stamp.read_bytes() != command:
        # Another compiler, or a project that was moved: CMake's cache would keep the old one.
        shutil.rmtree(folder, ignore_errors=True)
        run_tool(configure, project, "configuring", environment)
        stamp.write_bytes(command)
    run_tool([cmake, "--build", str(folder.resolve())], project, "building", environment)


def _configure_command(project: Path, folder: Path, toolchain: Toolchain) -> list[str]:
    command = [
        toolchain.cmake,
        *("-S", str(project), "-B", str(folder), "-G", "Ninja", "-Wno-dev"),
        f"-DCMAKE_MAKE_PROGRAM={toolchain.ninja}",
        "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON",
        "-DTG_WERROR=ON",
    ]
    compiler = ";".join(toolchain.compiler)
    if toolchain.kind == "host":
        return [*command, f"-DCMAKE_C_COMPILER={compiler}"]
    file = "arm-none-eabi" if toolchain.kind == "gcc" else "zig"
    toolchain_file = project / "cmake" / f"{file}.cmake"
    return [*command, f"-DCMAKE_TOOLCHAIN_FILE={toolchain_file}", f"-DTG_CC={compiler}"]


def run_tool(
    command: list[str], project: Path, doing: str, environment: dict[str, str] | None = None
) -> None:
    """`TinygenError` with the first error that the command printed."""
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            env=environment,
        )
    except OSError as e:
        raise TinygenError(f"{doing} {project}: {command[0]} does not start ({e})") from None
    if done.returncode == 0:
        return
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    # The compiler's own words before CMake's about them.
    said = (next((n for n in lines if kind.search(n)), None) for kind in (_COMPILER, _ERROR))
    first = next((n for n in said if n), lines[-1] if lines else "no output")
    if first.startswith("CMake Error"):
        first = " ".join(lines[lines.index(first) :][:3])
    raise TinygenError(f"{doing} {project} failed: {first}")


def compiler_flags(folder: Path) -> str:
    """Of the first target in build.ninja."""
    for line in (folder / "build.ninja").read_text(encoding="utf-8").splitlines():
        if line.startswith("  FLAGS = "):
            return line.removeprefix("  FLAGS = ")
    return ""
