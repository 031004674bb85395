# SPDX-License-Identifier: Apache-2.0
"""The unchanged Zephyr images of STM32 boards on the models of their chips: every sample equal,
counts for each layer, and the counts of the same core on an emulated board."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from zephyr_projects import MODELS, Made, ProjectOf, board_of, build, environment, make

from tinygen import runner
from tinygen.boards import read_board
from tinygen.errors import TinygenError
from tinygen.runner import import_board
from tinygen.runner.chip import run_chip
from tinygen.runner.console import Console

pytestmark = [pytest.mark.zephyr, pytest.mark.slow, pytest.mark.emulated]

BOARDS = (
    "nucleo_h743zi",
    "nucleo_f746zg",
    "nucleo_l476rg",
    "disco_l475_iot1",
    "nucleo_u575zi_q",
    "nucleo_g474re",
    "nucleo_f401re",
    "nucleo_g071rb",
)
IMPORTED = (
    "nucleo_h563zi",
    "nucleo_l073rz",
    "nucleo_f429zi",
    "nucleo_wb55rg",
    "olimex_stm32_h405",
)


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("model", MODELS)
def test_the_image_gives_the_promised_outputs(model: str, board: str, built: ProjectOf) -> None:
    made = built(model, board)
    result = runner.run(made.folder, made.board, elf=made.elf)
    assert result.on == "chip"
    assert result.passed
    assert result.matching == result.samples > 0
    assert result.counter == "instructions"
    assert all(layer.count for layer in result.layers)
    assert sum(layer.count or 0 for layer in result.layers) == result.total
    assert result.note == ""  # no bit had to toggle


@pytest.mark.parametrize(
    "board, emulated", (("nucleo_h743zi", "mps2_an500"), ("nucleo_l476rg", "mps2_an386"))
)
def test_counts_are_those_of_the_same_core(board: str, emulated: str, built: ProjectOf) -> None:
    """Within 1 %: the code lies elsewhere, and branches between it differ."""
    made = built("digits", board)
    here = runner.run(made.folder, made.board, elf=made.elf)
    other = built("digits", emulated)
    there = runner.run(other.folder, other.board)
    assert here.total == pytest.approx(there.total, rel=0.01)


@pytest.mark.parametrize("name", IMPORTED)
def test_an_imported_board_runs_as_well(name: str, tmp_path: Path) -> None:
    board, path = import_board(name, tmp_path / "board.yaml")
    assert read_board(path).emulation.chip == board.emulation.chip is not None
    made = build(make("digits", board, tmp_path / "app"))
    result = runner.run(made.folder, board, elf=made.elf)
    assert result.passed
    assert result.matching == result.samples == 8
    assert result.note == ""


def test_the_whole_command_builds_and_runs(tmp_path: Path) -> None:
    made = make("digits", board_of("nucleo_f401re"), tmp_path / "app")
    result = runner.run(made.folder, made.board)
    assert (result.on, result.passed, result.samples) == ("chip", True, 8)
    assert "build-tinygen" in str(result.elf)


def test_what_west_has_built_is_brought_up_to_date(built: ProjectOf) -> None:
    made = built("digits", "nucleo_f401re")
    before = made.elf.stat().st_mtime
    config = made.folder / "src/main.c"
    config.write_text(config.read_text().replace("no sensor yet", "no sensor so far"))
    result = runner.run(made.folder, made.board)
    assert result.passed and result.elf == made.elf.resolve()
    assert made.elf.stat().st_mtime > before


@pytest.mark.parametrize("name", ("nucleo_h743zi", "nucleo_u575zi_q", "nucleo_g071rb"))
def test_threads_timers_and_a_deferred_log(name: str, tmp_path: Path) -> None:
    """An application that has nothing of ours: what Zephyr needs of the core is there."""
    board = board_of(name)
    conf = tmp_path / "fpu.conf"
    fpu = board.core.cpu != "cortex-m0plus"
    conf.write_text("CONFIG_FPU=y\nCONFIG_FPU_SHARING=y\n" if fpu else "")
    app, folder = Path(__file__).parent / "threads", tmp_path / "build"
    configure = ["cmake", "-GNinja", "-S", app, "-B", folder, f"-DBOARD={name}"]
    for command in ([*configure, f"-DEXTRA_CONF_FILE={conf}"], ["ninja", "-C", folder]):
        subprocess.run(command, check=True, capture_output=True, env=environment())
    elf = folder / "zephyr/zephyr.elf"
    console = Console()
    run_chip(elf, board, console, None, timeout=60)
    assert "sum 45 both 1 ticks 1 slept 1" in console.other
    assert console.other.count("spun 1") == 2
    assert any("got 9" in line for line in console.other)


def spread(folder: Path) -> Made:
    """A project whose arena also lies in SRAM1 of domain D2, which starts without a clock."""
    board = board_of("nucleo_h743zi")
    small = {"dtcm": 256, "axi_sram": 256, "sram1": 512, "sram2": 0x400, "sram3": 0x200}
    memory = tuple(
        r.model_copy(update={"reserved": r.size - small[r.name]}) if r.name in small else r
        for r in board.memory
    )
    return make("digits", board.model_copy(update={"memory": memory}), folder)


def test_memory_of_domain_d2_works_once_its_clock_is_on(tmp_path: Path) -> None:
    made = build(spread(tmp_path / "app"))
    assert {"sram1", "sram2"} <= {r.name for r in made.plan.regions}
    result = runner.run(made.folder, made.board, elf=made.elf)
    assert result.passed and result.matching == 8


def test_a_clock_that_was_forgotten(tmp_path: Path) -> None:
    made = spread(tmp_path / "app")
    clocks = made.folder / "src/memory_clocks.c"
    text = clocks.read_text()
    assert "LL_AHB2_GRP1_EnableClock(" in text
    clocks.write_text(text.replace("LL_AHB2_GRP1_EnableClock(", "(void)("))
    made = build(made)
    with pytest.raises(TinygenError, match=r"in sram\d, before its clock is on: call LL_AHB2_GRP1"):
        runner.run(made.folder, made.board, elf=made.elf)


def test_a_stack_that_is_too_small(tmp_path: Path) -> None:
    """Zephyr guards the stacks of its threads by the MPU, or by the core's limit of a stack."""
    for name in ("nucleo_f401re", "nucleo_u575zi_q"):
        made = make("digits", board_of(name), tmp_path / name)
        main = made.folder / "src/main.c"
        grow = (
            "static int grow(int n) {\n  volatile int local[32];\n  local[n & 31] = n;\n"
            "  return n ? grow(n - 1) + local[n & 31] : 0;\n}\n\nint main(void) {\n"
            '  printk("%d\\n", grow(1000));\n'
        )
        main.write_text(main.read_text().replace("int main(void) {\n", grow))
        made = build(made)
        with pytest.raises(TinygenError, match=r"stack.* in grow\+.*main\.c:\d+"):
            runner.run(made.folder, made.board, elf=made.elf)
