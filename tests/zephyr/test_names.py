# SPDX-License-Identifier: Apache-2.0
"""Models called like a header of Zephyr, CMSIS, the HAL or the libc, like a function or a kernel:
their projects build, in folders of any name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from zephyr_projects import MODELS, Made, board_of, build, make

from tinygen.project import Request, new_project

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


MAIN = """
#include <zephyr/device.h>
#include <zephyr/kernel.h>

#include <soc.h>

#include "tinygen_model/device.h"
#include "tinygen_model/soc.h"

static int8_t a[SOC_INPUT_SIZE], b[SOC_OUTPUT_SIZE], c[DEVICE_INPUT_SIZE], d[DEVICE_OUTPUT_SIZE];

int main(void)
{
  soc_run(&soc_arena, a, b);
  device_run(&device_arena, c, d);
  return soc_argmax(b) + device_argmax(d);
}
"""


def test_two_modules_called_like_headers(tmp_path: Path) -> None:
    """Their include folders are on the path of the whole firmware, Zephyr's own files included."""
    board = board_of("nucleo_h743zi")
    for model, name in (("digits", "soc"), ("activity", "device")):
        path = MODELS[model] / "model.onnx"
        request = Request(board, path, None, tmp_path / name, name=name, self_test=1, module=True)
        plan = new_project(request).plan
    (tmp_path / "src").mkdir()
    (tmp_path / "src/main.c").write_text(MAIN)
    modules = " ".join(f'"${{CMAKE_CURRENT_SOURCE_DIR}}/{n}"' for n in ("soc", "device"))
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.20.0)\n"
        f"list(APPEND EXTRA_ZEPHYR_MODULES {modules})\n"
        "find_package(Zephyr REQUIRED HINTS $ENV{ZEPHYR_BASE})\n"
        "project(two C)\n"
        "target_sources(app PRIVATE src/main.c)\n"
    )
    (tmp_path / "prj.conf").write_text(
        "CONFIG_TINYGEN_SOC=y\nCONFIG_TINYGEN_DEVICE=y\nCONFIG_FPU=y\n"
    )
    assert build(Made(tmp_path, board, plan)).elf.is_file()
