# SPDX-License-Identifier: Apache-2.0
"""Find compilers, build tools and emulators: the system's, else those of PyPI packages."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tinygen.boards import Board
from tinygen.boards.chip import chip_names
from tinygen.errors import TinygenError

Emulator = Literal["qemu", "unicorn"]

PULP_SDK = "TINYGEN_PULP_SDK"
"""Environment variable: a shell script that sets up the PULP SDK and GVSoC."""

_EXTRA = "pip install 'tinygen[run]'"


@dataclass(frozen=True)
class Toolchain:
    """A compiler and what drives it.

    name     of the build folder: arm-gcc, arm-zig, or host
    kind     the command-line dialect of a cross compiler, or host
    """

    name: str
    kind: Literal["gcc", "zig", "host"]
    compiler: tuple[str, ...]
    version: str
    cmake: str
    ninja: str


@dataclass(frozen=True)
class Check:
    """One line of `tinygen doctor`.

    found      path and version, or None
    needed_for what does not work without it
    instead    what takes its place when it is missing, or None
    remedy     how to get it
    """

    name: str
    found: str | None
    needed_for: str
    instead: str | None
    remedy: str

    @property
    def ok(self) -> bool:
        return self.found is not None or self.instead is not None


def find_toolchain(board: Board) -> Toolchain:
    """The compiler for a board: TINYGEN_CC or CC, the system's, else PyPI's ziglang."""
    cmake, ninja = find_cmake(), find_ninja()
    if cmake is None or ninja is None:
        missing = "cmake" if cmake is None else "ninja"
        raise TinygenError(f"no {missing} found: apt-get install cmake ninja-build, or {_EXTRA}")
    kind: Literal["gcc", "zig", "host"]
    if board.emulation.host:
        compiler, kind, name = find_host_compiler(), "host", "host"
        remedy = "apt-get install gcc"
    else:
        compiler = find_cross_compiler()
        kind = "zig" if compiler and any("zig" in Path(part).name for part in compiler) else "gcc"
        name = f"arm-{kind}"
        remedy = "apt-get install gcc-arm-none-eabi"
    if compiler is None:
        raise TinygenError(f"no compiler for {board.name} found: {remedy}, or {_EXTRA}")
    version = _version(compiler) or compiler[0]
    if any(Path(part).name == "zig" for part in compiler):
        version = f"zig cc, {version}"
    return Toolchain(name, kind, compiler, version, cmake, ninja)


def find_cross_compiler() -> tuple[str, ...] | None:
    """Command of a compiler for Cortex-M."""
    return _explicit("TINYGEN_CC") or _on_path("arm-none-eabi-gcc") or _zig()


def find_host_compiler() -> tuple[str, ...] | None:
    """Command of a compiler for this computer."""
    return _explicit("CC") or _on_path("cc", "gcc", "clang") or _zig()


def find_cmake() -> str | None:
    return _tool("cmake", "cmake", "data/bin")


def find_ninja() -> str | None:
    return _tool("ninja", "ninja", "data/bin")


def find_qemu() -> str | None:
    found = _on_path("qemu-system-arm")
    return found[0] if found else None


def has_unicorn() -> bool:
    return _package("unicorn") is not None


def find_pulp_sdk() -> str | None:
    """Where the environment of the PULP SDK with GVSoC comes from, or None."""
    script = os.environ.get(PULP_SDK)
    if script:
        return script if Path(script).is_file() else None
    there = os.environ.get("RULES_DIR") and shutil.which("gvsoc") and shutil.which("make")
    return os.environ["RULES_DIR"] if there else None


def find_emulator(board: Board) -> Emulator:
    """QEMU where it is installed and knows the board, else Unicorn."""
    emulation = board.emulation
    if emulation.qemu_machine and find_qemu():
        return "qemu"
    if emulation.unicorn_cpu and has_unicorn():
        return "unicorn"
    if not emulation.qemu_machine and not emulation.unicorn_cpu:
        raise TinygenError(
            f"{board.name} cannot be emulated: build and flash the project, or create one for a "
            "board that `tinygen boards` lists as emulated"
        )
    raise TinygenError(
        f"no emulator for {board.name} found: apt-get install qemu-system-arm, or {_EXTRA}"
    )


def doctor() -> list[Check]:
    """What building and running need on this machine, found or missing."""
    zig = _zig()
    zig_stands_in = "ziglang, from PyPI" if zig else None
    qemu = find_qemu()
    return [
        Check(
            "arm-none-eabi-gcc",
            _describe(_explicit("TINYGEN_CC") or _on_path("arm-none-eabi-gcc")),
            "building firmware for Cortex-M",
            zig_stands_in,
            f"apt-get install gcc-arm-none-eabi, or {_EXTRA}, or set TINYGEN_CC",
        ),
        Check(
            "host compiler",
            _describe(_explicit("CC") or _on_path("cc", "gcc", "clang")),
            "projects for board host",
            zig_stands_in,
            f"apt-get install gcc, or {_EXTRA}, or set CC",
        ),
        Check(
            "ziglang",
            _describe(zig),
            "building without a system compiler",
            "the system's compilers" if _on_path("arm-none-eabi-gcc") else None,
            _EXTRA,
        ),
        Check("cmake", _describe_one(find_cmake()), "building", None, _EXTRA),
        Check("ninja", _describe_one(find_ninja()), "building", None, _EXTRA),
        Check(
            "qemu-system-arm",
            _describe_one(qemu),
            "running firmware without a board",
            "unicorn, from PyPI (slower)" if has_unicorn() else None,
            f"apt-get install qemu-system-arm, or {_EXTRA}",
        ),
        Check(
            "unicorn",
            _package_version("unicorn"),
            "running firmware without QEMU",
            "qemu-system-arm" if qemu else None,
            _EXTRA,
        ),
        Check(
            "chip models",
            ", ".join(chip_names()) if has_unicorn() and find_host_compiler() else None,
            "running the image of an STM32 board",
            None,
            f"{_EXTRA}: unicorn, and a compiler for this computer",
        ),
        Check(
            "Zephyr tree",
            _zephyr_tree(),
            "building Zephyr projects outside of a west workspace",
            "a workspace around the project, or --elf",
            "set ZEPHYR_BASE to a Zephyr 4.x tree",
        ),
        Check(
            "PULP SDK and GVSoC",
            find_pulp_sdk(),
            "running a PULP project without a board",
            "the host: threads for cores",
            f"source the SDK's configuration, or set {PULP_SDK} to a script that does",
        ),
        Check(
            "onnxruntime",
            _package_version("onnxruntime"),
            "tinygen check and quantize",
            None,
            "pip install 'tinygen[check]'",
        ),
    ]


def _zephyr_tree() -> str | None:
    base = os.environ.get("ZEPHYR_BASE", "")
    return base if base and (Path(base) / "Kconfig.zephyr").is_file() else None


def system_tools_allowed() -> bool:
    """TINYGEN_NO_SYSTEM_TOOLS=1 leaves only Python packages, as on a machine that has no others."""
    return os.environ.get("TINYGEN_NO_SYSTEM_TOOLS", "") in ("", "0")


def _explicit(variable: str) -> tuple[str, ...] | None:
    command = shlex.split(os.environ.get(variable, ""))
    if not command or (variable == "CC" and not system_tools_allowed()):
        return None
    program = shutil.which(command[0])
    if program is None:
        raise TinygenError(
            f"{variable} names {command[0]}, which is not a program: correct or unset it"
        )
    return (program, *command[1:])


def _on_path(*names: str) -> tuple[str, ...] | None:
    if system_tools_allowed():
        for name in names:
            if program := shutil.which(name):
                return (program,)
    return None


def _tool(name: str, package: str, folder: str) -> str | None:
    """On PATH, else inside its PyPI package, else where the interpreter's scripts are."""
    if found := _on_path(name):
        return found[0]
    home = _package(package)
    places = [str(home / folder)] if home else []
    places.append(str(Path(sys.executable).parent))
    places.append(sysconfig.get_path("scripts"))
    places.append(sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user")))
    return next((p for place in places if (p := shutil.which(name, path=place))), None)


def _zig() -> tuple[str, ...] | None:
    home = _package("ziglang")
    program = shutil.which("zig", path=str(home)) if home else None
    return (program, "cc") if program else None


def _package(name: str) -> Path | None:
    """Folder of an installed package, which is not imported."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def _package_version(name: str) -> str | None:
    home = _package(name)
    if home is None:
        return None
    try:
        return f"{home} ({importlib.metadata.version(name)})"
    except importlib.metadata.PackageNotFoundError:
        return str(home)


@functools.cache
def _version(command: tuple[str, ...]) -> str | None:
    """First line of `command --version`."""
    try:
        output = subprocess.run(
            [*command, "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return output.splitlines()[0].strip() if output else None


def _describe(command: tuple[str, ...] | None) -> str | None:
    if command is None:
        return None
    version = _version(command)
    return f"{shlex.join(command)} ({version})" if version else shlex.join(command)


def _describe_one(program: str | None) -> str | None:
    return _describe((program,)) if program else None
