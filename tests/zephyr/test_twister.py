# SPDX-License-Identifier: Apache-2.0
"""Twister passes a generated project: on boards that it emulates itself, and on two whose QEMU it
does not know as if they were real ones, with QEMU at the other end of the serial line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from zephyr_projects import ProjectOf, environment

pytestmark = [pytest.mark.zephyr, pytest.mark.slow, pytest.mark.emulated]


def twister(project: Path, board: str, out: Path, *options: str, **variables: str) -> str:
    """The status of the project's only test."""
    if shutil.which("west") is None:
        pytest.skip("west is not on PATH")
    command = ["west", "twister", "-T", project, "-p", board, "--outdir", out, *options]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment() | variables, cwd=project.parent
    )
    log = done.stdout + done.stderr
    assert (out / "twister.json").is_file(), log
    (suite,) = json.loads((out / "twister.json").read_text())["testsuites"]
    assert done.returncode == 0, log
    assert "executed" in log
    return str(suite["status"])


@pytest.mark.parametrize(
    "board, zephyr",
    (
        ("mps2_an385", "mps2/an385"),
        ("mps2_an521_cpu1", "mps2/an521/cpu1"),
        ("native_sim", "native_sim/native/64"),
    ),
)
def test_twister_passes(board: str, zephyr: str, project_of: ProjectOf, tmp_path: Path) -> None:
    assert twister(project_of("digits", board).folder, zephyr, tmp_path / "out") == "passed"


@pytest.mark.parametrize("board", ("an386", "an500"))
def test_twister_passes_a_board_on_a_line(
    board: str, project_of: ProjectOf, tmp_path: Path
) -> None:
    out, script = tmp_path / "out", tmp_path / "board.sh"
    script.write_text(
        "#!/bin/sh\n"
        'elf=$(find "$OUT" -path "*/zephyr/zephyr.elf" | head -1)\n'
        'exec qemu-system-arm -machine "$MACHINE" -icount shift=8 -display none -monitor none '
        '-serial stdio -kernel "$elf"\n'
    )
    script.chmod(0o755)
    status = twister(
        project_of("digits", f"mps2_{board}").folder,
        f"mps2/{board}",
        out,
        "--device-testing",
        f"--device-serial-pty={script}",
        "--flash-command=/bin/true",
        OUT=str(out),
        MACHINE=f"mps2-{board}",
        PATH=os.environ["PATH"],
    )
    assert status == "passed"
