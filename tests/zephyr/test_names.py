# SPDX-License-Identifier: Apache-2.0
"""Models called like a header of Zephyr, CMSIS, the HAL or the libc, like a function or a kernel:
their projects build, in folders of any name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from zephyr_projects import board_of, build, make

pytestmark = [pytest.mark.zephyr, pytest.mark.slow]
HEADERS = (
    *("soc", "version", "offsets", "autoconf", "device", "kernel"),  # Zephyr
    *("string", "main", "conv", "stm32h7xx", "cmsis_gcc", "printf", "int"),
)


@pytest.mark.parametrize("name", HEADERS)
def test_a_model_called_like_a_header(name: str, tmp_path: Path) -> None:
    made = build(make("digits", board_of("nucleo_h743zi"), tmp_path / name, 1, name=name))
    assert made.elf.is_file()
    flags = (made.build / "build.ninja").read_text()
    folders = {Path(f) for f in re.findall(r"-I(\S+)", flags)}
    assert made.folder / "include" in folders
    ours = (f for f in folders if f.is_relative_to(made.folder) and "build" not in f.parts)
    bare = {header.name for folder in ours for header in folder.glob("*.h")}
    assert bare == {"profile.h", "self_test.h"}  # the template's, whatever the model's name is


@pytest.mark.parametrize("folder", ("a{{b}}", "grüß", "a~!@+^="))
def test_a_folder_of_any_name(folder: str, tmp_path: Path) -> None:
    made = build(make("digits", board_of("mps2_an385"), tmp_path / folder, 1))
    assert made.elf.is_file()
