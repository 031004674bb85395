# SPDX-License-Identifier: Apache-2.0
"""A PlatformIO core folder made of what is on this machine, for a build without the registry.

    python tests/zephyr/platformio_core.py CORE --platform CHECKOUT --builder platformio-build.py

CHECKOUT: github.com/platformio/platform-ststm32.  platformio-build.py: PlatformIO's own, from the
folder scripts/platformio of its framework-zephyr.  ZEPHYR_BASE: the Zephyr tree, in a workspace
with cmsis_6 and hal_stm32.  Tools: arm-none-eabi-gcc, cmake, ninja and dtc on PATH, scons from PyPI
beside this interpreter. Then: PLATFORMIO_CORE_DIR=CORE pio run.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
from pathlib import Path

SCONS = "4.41101.0"
MODULES = {"cmsis_6": "modules/hal/cmsis_6", "hal_stm32": "modules/hal/stm32"}


def register(folder: Path, kind: str, name: str, version: str) -> None:
    """What PlatformIO's package manager would have left."""
    if kind != "platform":
        (folder / "package.json").write_text(json.dumps({"name": name, "version": version}))
    spec = {"owner": "platformio", "id": None, "name": name, "requirements": None, "uri": None}
    (folder / ".piopm").write_text(
        json.dumps({"type": kind, "name": name, "version": version, "spec": spec})
    )


def tool(core: Path, name: str, version: str, programs: tuple[str, ...], where: str = "") -> None:
    """A package of links to programs on PATH."""
    folder = core / "packages" / name
    (folder / where).mkdir(parents=True)
    for program in programs:
        found = shutil.which(program)
        if found:
            (folder / where / program).symlink_to(Path(found).resolve())
    register(folder, "tool", name, version)


def scons(core: Path) -> None:
    folder = core / "packages/tool-scons"
    folder.mkdir(parents=True)
    spec = importlib.util.find_spec("SCons")
    assert spec is not None and spec.origin is not None, "pip install scons"
    (folder / "SCons").symlink_to(Path(spec.origin).parent)
    (folder / "scons.py").write_text("from SCons.Script import main\n\nmain()\n")
    register(folder, "tool", "tool-scons", SCONS)


def toolchain(core: Path) -> None:
    gcc = Path(shutil.which("arm-none-eabi-gcc") or "arm-none-eabi-gcc")
    programs = tuple(sorted(p.name for p in gcc.parent.glob("arm-none-eabi-*")))
    tool(core, "toolchain-gccarmnoneeabi", "1.120301.0", programs, "bin")


def framework(core: Path, zephyr: Path, builder: Path) -> None:
    """A copy of the tree (hard links), its modules, and a manifest that names no others."""
    folder = core / "packages/framework-zephyr"
    shutil.copytree(
        zephyr,
        folder,
        symlinks=True,
        copy_function=lambda a, b: os.link(a, b, follow_symlinks=False),
        ignore=shutil.ignore_patterns(".git", "__pycache__"),
    )
    (folder / "west.yml").unlink()
    projects = "".join(f"    - name: {n}\n      path: {p}\n" for n, p in MODULES.items())
    (folder / "west.yml").write_text(f"manifest:\n  projects:\n{projects}")
    for path in MODULES.values():
        link = folder / "_pio" / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(zephyr.parent / path)
    scripts = folder / "scripts/platformio"
    scripts.mkdir()
    shutil.copyfile(builder, scripts / "platformio-build.py")
    pre = builder.with_name("platformio-build-pre.py")
    if pre.is_file():
        shutil.copyfile(pre, scripts / pre.name)
    (scripts / "install-deps.py").write_text("# Everything is there.\n")
    register(folder, "tool", "framework-zephyr", "3.40400.0")


def platform(core: Path, checkout: Path) -> None:
    folder = core / "platforms/ststm32"
    folder.mkdir(parents=True)
    parts = ("platform.json", "platform.py", "builder/main.py", "builder/frameworks/zephyr.py")
    command = ["git", "-C", checkout, "archive", "HEAD", *parts, "boards"]
    archive = subprocess.run(command, capture_output=True, check=True)
    subprocess.run(["tar", "x", "-C", folder], input=archive.stdout, check=True)
    version = json.loads((folder / "platform.json").read_text())["version"]
    register(folder, "platform", "ststm32", version)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("core", type=Path)
    parser.add_argument("--platform", type=Path, required=True)
    parser.add_argument("--builder", type=Path, required=True)
    arguments = parser.parse_args()
    core = arguments.core.resolve()
    scons(core)
    toolchain(core)
    tool(core, "tool-cmake", "3.21.0", ("cmake",), "bin")
    tool(core, "tool-ninja", "1.13.0", ("ninja",))
    tool(core, "tool-dtc", "1.4.7", ("dtc",))
    tool(core, "tool-gperf", "3.0.0", ("gperf",))
    framework(core, Path(os.environ["ZEPHYR_BASE"]).resolve(), arguments.builder)
    platform(core, arguments.platform)


if __name__ == "__main__":
    main()
