# SPDX-License-Identifier: Apache-2.0
"""The program of a cluster project "net" on this computer."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path


def build(project: Path, sanitizer: str, cores: int, *defines: str) -> Path:
    program = project / f"net_{cores}{sanitizer[:6]}"
    sources = [str(f) for f in (project / "src").rglob("*.c") if "pulp" not in f.stem]
    sources = [f for f in sources if not f.endswith("platform_pmsis.c")]
    folders = ("", "../include", "tinygen", "tinygen/include", "tinygen/src")
    flags = [
        "-O1",
        "-g",
        "-std=gnu11",
        "-Wall",
        "-Wextra",
        "-Werror",
        f"-DNET_CORES={cores}",
        *defines,
    ]
    flags += [f'-DTG_L3_FOLDER="{project}/src/model"']
    flags += [f"-I{project / 'src' / f}" for f in folders]
    if sanitizer:
        flags += [f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all"]
    subprocess.run(["cc", *flags, *sources, "-lpthread", "-o", str(program)], check=True)
    return program


def run(program: Path) -> None:
    done = subprocess.run([str(program)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["equal"] == last["samples"] == 3
