# SPDX-License-Identifier: Apache-2.0
"""Build a Zephyr project with CMake and run it in QEMU or, for native_sim, on this computer."""

from __future__ import annotations

import configparser
import importlib.util
import os
import shutil
import sys
from pathlib import Path

from tinygen.boards import Board
from tinygen.errors import TinygenError
from tinygen.runner.build import Built, compiler_flags, configure_and_build
from tinygen.runner.console import Console
from tinygen.runner.elf import read_elf
from tinygen.runner.process import run_process
from tinygen.runner.toolchain import find_cmake, find_ninja, find_qemu

FOLDER = "build-tinygen"
_CPU0 = "zephyr/boards/arm/mps2/empty_cpu0-prefix/src/empty_cpu0-build/zephyr/zephyr.elf"


def build_zephyr(project: Path, board: Board, max_samples: int | None = None) -> Built:
    """The project's ELF file, up to date, in <project>/build-tinygen."""
    zephyr = _zephyr(board)
    environment = _environment(project, board)
    cmake, ninja = find_cmake(), find_ninja()
    if cmake is None or ninja is None:
        missing = "cmake" if cmake is None else "ninja"
        raise TinygenError(f"no {missing} found: apt-get install cmake ninja-build")
    folder = (project / FOLDER).resolve()
    command = [
        cmake,
        *("-S", str(project.resolve()), "-B", str(folder), "-G", "Ninja", "-Wno-dev"),
        f"-DCMAKE_MAKE_PROGRAM={ninja}",
        "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON",
        f"-DBOARD={zephyr}",
        f"-DCONFIG_TINYGEN_SELF_TEST_LIMIT={max_samples or 0}",
    ]
    if all(importlib.util.find_spec(name) for name in ("west", "elftools", "yaml")):
        command.append(f"-DWEST_PYTHON={sys.executable}")
    configure_and_build(command, folder, project, cmake, environment)
    path = folder / "zephyr" / ("zephyr.exe" if board.emulation.host else "zephyr.elf")
    elf = read_elf(path)
    compiler = f"Zephyr, {environment.get('ZEPHYR_TOOLCHAIN_VARIANT', 'its SDK')}"
    return Built(path, elf.flash_bytes, elf.ram_bytes, compiler, compiler_flags(folder))


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


def _environment(project: Path, board: Board) -> dict[str, str]:
    """That of CMake: where Zephyr lies, and which compiler."""
    environment = dict(os.environ)
    environment["ZEPHYR_BASE"] = str(_zephyr_base(project))
    if "ZEPHYR_TOOLCHAIN_VARIANT" in environment or _has_sdk():
        return environment
    gcc = shutil.which("arm-none-eabi-gcc")
    if board.emulation.host:
        environment["ZEPHYR_TOOLCHAIN_VARIANT"] = "host"
    elif gcc:
        environment["ZEPHYR_TOOLCHAIN_VARIANT"] = "gnuarmemb"
        environment["GNUARMEMB_TOOLCHAIN_PATH"] = str(Path(gcc).parents[1])
    else:
        raise TinygenError(
            f"no compiler for {board.name} found: install the Zephyr SDK (`west sdk install`), or "
            "apt-get install gcc-arm-none-eabi"
        )
    return environment


def _zephyr_base(project: Path) -> Path:
    """ZEPHYR_BASE, else the Zephyr of the west workspace around the project."""
    if base := os.environ.get("ZEPHYR_BASE"):
        if (Path(base) / "Kconfig.zephyr").is_file():
            return Path(base)
        raise TinygenError(
            f"ZEPHYR_BASE={base} is not a Zephyr tree: correct it, or unset it inside a workspace"
        )
    for folder in project.resolve().parents:
        config = configparser.ConfigParser()
        if config.read(folder / ".west" / "config"):
            base = config.get("zephyr", "base", fallback="zephyr")
            if (folder / base / "Kconfig.zephyr").is_file():
                return folder / base
    raise TinygenError(
        f"no Zephyr found to build {project} with: set ZEPHYR_BASE to a Zephyr 4.x tree, or run "
        f"`west init -l {project.name} && west update` in {project.resolve().parent}"
    )


def _has_sdk() -> bool:
    registry = Path.home() / ".cmake" / "packages" / "Zephyr-sdk"
    return "ZEPHYR_SDK_INSTALL_DIR" in os.environ or registry.is_dir()
