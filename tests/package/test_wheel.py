# SPDX-License-Identifier: Apache-2.0
"""A wheel in a clean virtual environment does the main job from any folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_wheel_in_a_clean_environment(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    programs = tmp_path / "venv" / "bin"
    python_only = os.environ.get("TINYGEN_NO_SYSTEM_TOOLS", "0") not in ("", "0")
    what = f"{wheel}[run]" if python_only else str(wheel)  # its own cmake and compiler
    subprocess.run([programs / "pip", "install", "-q", what], check=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}

    def tinygen(*args: str) -> str:
        command = [str(programs / "tinygen"), *args]
        done = subprocess.run(command, cwd=elsewhere, env=clean, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    names = {b["name"] for b in json.loads(tinygen("boards", "--json"))["boards"]}
    assert "mps2_an500" in names
    tinygen("new", "app", "--board", "host")
    tools = f"{Path(sys.executable).parent}{os.pathsep}{clean['PATH']}"  # cmake and ninja
    clean["PATH"] = tools
    record = json.loads(tinygen("run", "app", "--json"))
    assert record["passed"]
    assert record["matching"] == 32
