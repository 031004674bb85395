# SPDX-License-Identifier: Apache-2.0
"""Projects of the example models, and builds of them, for the tests in this folder."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tinygen.boards import Board, load_board
from tinygen.planner import Plan
from tinygen.project import Request, new_project

EXAMPLES = Path(__file__).parents[2] / "example_models"
MODELS = {
    "digits": EXAMPLES / "digits",
    "activity": EXAMPLES / "activity",
    "eegformer": EXAMPLES / "paper_shapes" / "eegformer",
}
BOARDS = (
    "nucleo_h743zi",
    "nucleo_l476rg",
    "nucleo_f746zg",
    "disco_l475_iot1",
    "mps2_an385",
    "mps2_an386",
    "mps2_an500",
    "mps2_an521_cpu1",
    "native_sim",
)
RUNNABLE = ("mps2_an385", "mps2_an386", "mps2_an500", "mps2_an521_cpu1", "native_sim")


@dataclass(frozen=True)
class Made:
    """log: what CMake and Ninja printed, empty before a build."""

    folder: Path
    board: Board
    plan: Plan
    log: str = ""

    @property
    def build(self) -> Path:
        return self.folder / "build"

    @property
    def elf(self) -> Path:
        return self.build / "zephyr" / "zephyr.elf"


ProjectOf = Callable[[str, str], Made]


def make(
    model: str,
    board: Board,
    folder: Path,
    samples: int = 8,
    template: str = "zephyr",
    name: str | None = None,
) -> Made:
    path = MODELS[model]
    request = Request(
        board, path / "model.onnx", path / "samples.npz", folder, template, name, samples
    )
    return Made(folder, board, new_project(request).plan)


def build(made: Made, *options: str) -> Made:
    """Asserts that neither CMake, Kconfig, the compiler nor the linker prints a warning."""
    assert made.board.zephyr is not None
    configure = [
        *("cmake", "-GNinja", "-S", made.folder, "-B", made.build),
        f"-DBOARD={made.board.zephyr.board}",
        "-DBUILD_VERSION=test",  # else CMake warns about a tree that is no git repository
        *options,
    ]
    log = ""
    for command in (configure, ["ninja", "-C", made.build]):
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment()
        )
        log += done.stdout
        assert done.returncode == 0, log[-4000:]
    assert not warnings(log)
    return Made(made.folder, made.board, made.plan, log)


def warnings(log: str) -> list[str]:
    """All but those about Zephyr's own files: a devicetree of a board, a tree without git."""
    theirs = (str(os.environ.get("ZEPHYR_BASE")), "zephyr.dts:", "Warning (spi_bus_reg)")
    found = [line for line in log.splitlines() if "warning" in line.lower()]
    return [line for line in found if not any(name in line for name in theirs)]


def environment() -> dict[str, str]:
    """gnuarmemb where nothing else is chosen."""
    defaults = {"ZEPHYR_TOOLCHAIN_VARIANT": "gnuarmemb", "GNUARMEMB_TOOLCHAIN_PATH": "/usr"}
    return defaults | dict(os.environ)


def board_of(name: str) -> Board:
    return load_board(name)
