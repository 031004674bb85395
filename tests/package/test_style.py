# SPDX-License-Identifier: Apache-2.0
"""ruff, mypy and clang-format find nothing; every source file names its licence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {".py", ".c", ".h", ".yaml", ".toml", ".cmake", ".ld"}


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.decode().split("\0") if name]


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def tool(name: str) -> str:
    pytest.importorskip(name)
    return str(Path(sys.executable).with_name(name.replace("_", "-")))


def test_ruff() -> None:
    run(tool("ruff"), "check", "--no-cache")


def test_ruff_format() -> None:
    run(tool("ruff"), "format", "--check", "--no-cache")


@pytest.mark.slow
def test_mypy(tmp_path: Path) -> None:
    run(tool("mypy"), "--cache-dir", str(tmp_path))


def test_clang_format() -> None:
    files = [f for f in tracked() if f.suffix in (".c", ".h") and "templates" not in f.parts]
    run(tool("clang_format"), "--dry-run", "--Werror", *map(str, files))


def test_every_source_names_its_licence() -> None:
    def anonymous(file: Path) -> bool:
        head = file.read_bytes()[:600].replace(b"\0", b"")  # some fixtures are in UTF-16
        return b"SPDX-License-Identifier: Apache-2.0" not in head

    assert [f.name for f in tracked() if f.suffix in SOURCES and f.exists() and anonymous(f)] == []


def test_no_two_test_files_share_a_name() -> None:
    """pytest imports them by it."""
    names = [f.name for f in tracked() if f.name.startswith("test_") and f.exists()]
    assert sorted(names) == sorted(set(names))
