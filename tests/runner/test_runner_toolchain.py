# SPDX-License-Identifier: Apache-2.0
"""Which tools are chosen, and what is said when one is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from runner_toy import ProjectOf

from tinygen.boards import Emulation, load_board
from tinygen.errors import TinygenError
from tinygen.runner import doctor, find_emulator, find_toolchain, run, toolchain

M7 = load_board("mps2_an500")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with Python and no other tool."""
    for variable in ("TINYGEN_CC", "CC", "TINYGEN_NO_SYSTEM_TOOLS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    monkeypatch.setattr(toolchain, "_package", lambda name: None)
    monkeypatch.setattr("sysconfig.get_path", lambda *_: "/nonexistent")


def _program(path: Path) -> str:
    path.write_text("#!/bin/sh\necho tool 1.0\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.usefixtures("bare")
def test_nothing_is_there() -> None:
    with pytest.raises(TinygenError, match=r"no cmake found: .*tinygen\[run\]"):
        find_toolchain(M7)
    with pytest.raises(TinygenError, match=r"no emulator .*qemu-system-arm.*tinygen\[run\]"):
        find_emulator(M7)
    checks = {check.name: check for check in doctor()}
    assert checks["cmake"].found is None and not checks["cmake"].ok
    assert all(check.remedy and check.needed_for for check in checks.values())


@pytest.mark.usefixtures("bare")
def test_no_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _program(tmp_path / "cmake")
    _program(tmp_path / "ninja")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TinygenError, match=r"gcc-arm-none-eabi, or pip install 'tinygen\[run\]'"):
        find_toolchain(M7)
    compiler = _program(tmp_path / "arm-none-eabi-gcc")
    assert find_toolchain(M7).compiler == (compiler,)
    assert find_toolchain(M7).version == "tool 1.0"
    mine = _program(tmp_path / "my-gcc")
    monkeypatch.setenv("TINYGEN_CC", f"{mine} -v")
    assert find_toolchain(M7).compiler == (mine, "-v")
    monkeypatch.setenv("TINYGEN_CC", "absent-gcc")
    with pytest.raises(TinygenError, match="TINYGEN_CC names absent-gcc"):
        find_toolchain(M7)


def test_no_emulator_of_that_kind(project_of: ProjectOf, monkeypatch: pytest.MonkeyPatch) -> None:
    board = M7.model_copy(update={"emulation": Emulation()})
    with pytest.raises(TinygenError, match="cannot be emulated"):
        find_emulator(board)


@pytest.mark.emulated
def test_python_packages_are_enough(project_of: ProjectOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """ziglang, cmake, ninja and unicorn from PyPI build and run the firmware."""
    for variable in ("TINYGEN_CC", "CC"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TINYGEN_NO_SYSTEM_TOOLS", "1")
    monkeypatch.setenv("PATH", "/nonexistent")
    try:
        assert find_toolchain(M7).kind == "zig"
    except TinygenError as e:
        pytest.skip(str(e))
    if not toolchain.has_unicorn():
        pytest.skip("PyPI's unicorn is not installed")
    result = run(project_of("mps2_an500"), M7)
    assert result.passed and result.on == "unicorn" and result.samples == 8
