# SPDX-License-Identifier: Apache-2.0
"""Build a Zephyr project with CMake and run it in QEMU or, for native_sim, on this computer."""

from __future__ import annotations

import configparser
import importlib.util
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from tinygen.boards import Board
from tinygen.boards.chip import chip_of
from tinygen.errors import TinygenError
from tinygen.names import for_shell
from tinygen.runner.build import Built, compiler_flags, configure_and_build, run_tool
from tinygen.runner.console import Console
from tinygen.runner.elf import read_elf
from tinygen.runner.process import run_process
from tinygen.runner.toolchain import find_cmake, find_ninja, find_qemu

FOLDER = "build-tinygen"
_CPU0 = "zephyr/boards/arm/mps2/empty_cpu0-prefix/src/empty_cpu0-build/zephyr/zephyr.elf"


def build_zephyr(project: Path, board: Board, max_samples: int | None = None) -> Built:
    """The project's ELF file, up to date, in <project>/build-tinygen."""
    environment = _environment(project, board.emulation.host)
    folder = (project / FOLDER).resolve()
    command = [
        *_configure(project, folder, _zephyr(board)),
        f"-DCONFIG_TINYGEN_SELF_TEST_LIMIT={max_samples or 0}",
    ]
    configure_and_build(command, folder, project, command[0], environment)
    path = folder / "zephyr" / ("zephyr.exe" if board.emulation.host else "zephyr.elf")
    elf = read_elf(path)
    compiler = f"Zephyr, {environment.get('ZEPHYR_TOOLCHAIN_VARIANT', 'its SDK')}"
    return Built(path, elf.flash_bytes, elf.ram_bytes, compiler, compiler_flags(folder))


def bring_up_to_date(project: Path) -> Built | None:
    """The image in <project>/build, which `west build` has configured and `west flash` will write;
    None where west has not been there."""
    folder = (project / "build").resolve()
    path = folder / "zephyr" / "zephyr.elf"
    cache = folder / "CMakeCache.txt"
    if not (path.is_file() and cache.is_file()):
        return None
    if f"CMAKE_CACHEFILE_DIR:INTERNAL={folder}\n" not in cache.read_text(errors="replace"):
        return None  # the project was moved or copied: CMake would refuse this folder
    cmake = find_cmake()
    if cmake is None:
        raise TinygenError("no cmake found: apt-get install cmake")
    environment = _environment(project, False)
    run_tool([cmake, "--build", str(folder)], project, "building", environment)
    elf = read_elf(path)
    compiler = f"Zephyr, {environment.get('ZEPHYR_TOOLCHAIN_VARIANT', 'its SDK')}"
    return Built(path, elf.flash_bytes, elf.ram_bytes, compiler, compiler_flags(folder))


def configure_only(board: str, scratch: Path) -> Path:
    """Build folder of an empty application that was configured for a Zephyr board."""
    app, folder = scratch / "app", scratch / "build"
    app.mkdir()
    (app / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.20.0)\n"
        "find_package(Zephyr REQUIRED HINTS $ENV{ZEPHYR_BASE})\n"
        "project(empty C)\n"
        "target_sources(app PRIVATE main.c)\n"
    )
    (app / "main.c").write_text("int main(void)\n{\n\treturn 0;\n}\n")
    (app / "prj.conf").write_text("")
    environment = _environment(None, False)
    command = _configure(app, folder, board)
    run_tool(command, Path(board), "configuring an empty application for", environment)
    return folder


def _configure(project: Path, folder: Path, board: str) -> list[str]:
    """CMake's command line."""
    cmake, ninja = find_cmake(), find_ninja()
    if cmake is None or ninja is None:
        missing = "cmake" if cmake is None else "ninja"
        raise TinygenError(f"no {missing} found: apt-get install cmake ninja-build")
    command = [
        cmake,
        *("-S", str(project.resolve()), "-B", str(folder), "-G", "Ninja", "-Wno-dev"),
        f"-DCMAKE_MAKE_PROGRAM={ninja}",
        "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON",
        f"-DBOARD={board}",
    ]
    if all(importlib.util.find_spec(name) for name in ("west", "elftools", "yaml")):
        command.append(f"-DWEST_PYTHON={sys.executable}")
    return command


def run_zephyr(built: Built, board: Board, here: bool, console: Console, timeout: float) -> int:
    """0 if the self-test ended: the firmware itself runs on, so it is stopped there."""
    command = [str(built.elf)] if here else _qemu(built, board)
    name = f"{built.elf.name} {'on this computer' if here else 'in QEMU'}"
    return run_process(command, console, timeout, name, until=lambda: _ended(console))


def _ended(console: Console) -> bool:
    return console.done is not None or any("Halting system" in line for line in console.other)


def _qemu(built: Built, board: Board) -> list[str]:
    program = find_qemu()
    if program is None:
        raise TinygenError("no qemu-system-arm found: apt-get install qemu-system-arm")
    if board.emulation.qemu_machine is None:
        raise TinygenError(
            f"QEMU does not emulate {board.name}: `west flash` the project, then `tinygen profile`"
            + (", or run it with --on chip" if chip_of(board) else "")
        )
    command = [
        program,
        *("-machine", board.emulation.qemu_machine, "-icount", "shift=8"),
        *("-display", "none", "-monitor", "none", "-serial", "stdio"),
    ]
    cpu0 = built.elf.parents[1] / _CPU0
    if cpu0.exists():  # on a board of two cores the first one starts ours
        return [*command, "-kernel", str(cpu0), "-device", f"loader,file={built.elf}"]
    return [*command, "-kernel", str(built.elf)]


def _zephyr(board: Board) -> str:
    if board.zephyr is None:
        raise TinygenError(f"{board.name} has no Zephyr board: its YAML file lacks `zephyr`")
    return board.zephyr.board


def _environment(project: Path | None, host: bool) -> dict[str, str]:
    """That of CMake: where Zephyr lies, and which compiler."""
    environment = dict(os.environ)
    environment["ZEPHYR_BASE"] = str(zephyr_base(project))
    if "ZEPHYR_TOOLCHAIN_VARIANT" in environment or _has_sdk():
        return environment
    gcc = shutil.which("arm-none-eabi-gcc")
    if host:
        environment["ZEPHYR_TOOLCHAIN_VARIANT"] = "host"
    elif gcc:
        environment["ZEPHYR_TOOLCHAIN_VARIANT"] = "gnuarmemb"
        environment["GNUARMEMB_TOOLCHAIN_PATH"] = str(Path(gcc).parents[1])
    else:
        raise TinygenError(
            "no compiler for Cortex-M found: install the Zephyr SDK (`west sdk install`), or "
            "apt-get install gcc-arm-none-eabi"
        )
    return environment


def zephyr_base(project: Path | None = None) -> Path:
    """ZEPHYR_BASE, else the Zephyr of the west workspace around the project, or around this folder.

    Raises `TinygenError` if there is none.
    """
    if base := os.environ.get("ZEPHYR_BASE"):
        if (Path(base) / "Kconfig.zephyr").is_file():
            return Path(base)
        raise TinygenError(
            f"ZEPHYR_BASE={base} is not a Zephyr tree: correct it, or unset it inside a workspace"
        )
    here = Path.cwd()
    for folder in (here, *here.parents) if project is None else project.resolve().parents:
        config = configparser.ConfigParser()
        with suppress(configparser.Error, ValueError):
            config.read(folder / ".west" / "config", encoding="utf-8")
        if config.sections():
            base = config.get("zephyr", "base", fallback="zephyr")
            if (folder / base / "Kconfig.zephyr").is_file():
                return folder / base
    if project is None:
        raise TinygenError(
            f"no Zephyr found: set ZEPHYR_BASE to a Zephyr 4.x tree, or work inside of a west "
            f"workspace, which {here} is not"
        )
    name = Path(project.resolve().name)
    raise TinygenError(
        f"no Zephyr found to build {project} with: set ZEPHYR_BASE to a Zephyr 4.x tree, or run "
        f"`west init -l --mf zephyr/west.yml {for_shell(name)} && west update` in "
        f"{for_shell(project.resolve().parent)}"
    )


def _has_sdk() -> bool:
    registry = Path.home() / ".cmake" / "packages" / "Zephyr-sdk"
    return "ZEPHYR_SDK_INSTALL_DIR" in os.environ or registry.is_dir()
