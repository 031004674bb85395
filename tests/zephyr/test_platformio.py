# SPDX-License-Identifier: Apache-2.0
"""`pio run` builds the folder that `west build` builds, with packages that are on this machine:
platformio_core.py makes their folder, TINYGEN_PLATFORMIO_CORE names it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from test_zephyr_builds import inside, symbols
from zephyr_projects import board_of, build, make, warnings

pytestmark = [pytest.mark.zephyr, pytest.mark.slow]
CORE = Path(os.environ.get("TINYGEN_PLATFORMIO_CORE", "/nowhere"))


def contents(folder: Path) -> dict[str, bytes]:
    """Without what builds leave."""
    files = (f for f in folder.rglob("*") if f.is_file())
    named = {f.relative_to(folder): f for f in files}
    return {str(n): f.read_bytes() for n, f in named.items() if n.parts[0] not in (".pio", "build")}


@pytest.mark.parametrize("name", ("nucleo_l476rg", "nucleo_h743zi"))
def test_one_folder_for_both(name: str, tmp_path: Path) -> None:
    if shutil.which("pio") is None or not (CORE / "platforms/ststm32").is_dir():
        pytest.skip("TINYGEN_PLATFORMIO_CORE names no folder made by platformio_core.py, or no pio")
    made = make("digits", board_of(name), tmp_path / "digits")
    before = contents(made.folder)
    environment = os.environ | {
        "PLATFORMIO_CORE_DIR": str(CORE),
        "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
        "PLATFORMIO_SETTING_CHECK_PLATFORMIO_INTERVAL": "9999",
    }
    command = ["pio", "run", "--project-dir", str(made.folder)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert not warnings(done.stdout)
    by_pio = symbols(made.folder / f".pio/build/{name}/firmware.elf")
    by_west = symbols(build(made).elf)
    assert contents(made.folder) == before
    kernels = {n for n in by_west if re.match(r"tg_\w+_s8$", n)}
    assert len(kernels) >= 8
    for kernel in kernels:  # the same code, optimised alike
        assert by_pio[kernel][1] == pytest.approx(by_west[kernel][1], rel=0.02)
    region = {r.name: r for r in made.board.memory}
    for use in made.plan.regions:
        place = by_pio[f"digits_arena_{use.name}"]
        assert place[1] == use.used
        assert inside(place, region[use.name])
