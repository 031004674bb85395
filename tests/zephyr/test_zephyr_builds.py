# SPDX-License-Identifier: Apache-2.0
"""Every board builds without a warning, the emulated ones give the promised outputs, and the ELF
holds what the Plan says where it says."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from zephyr_projects import BOARDS, MODELS, RUNNABLE, Made, ProjectOf, board_of, build, make

from qemu_pty import qemu_on_a_terminal
from tinygen import runner
from tinygen.boards import Board, Region
from tinygen.emitter import cfile

pytestmark = [pytest.mark.zephyr, pytest.mark.slow]


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("model", MODELS)
def test_builds_without_a_warning(model: str, board: str, built: ProjectOf) -> None:
    assert built(model, board).log


@pytest.mark.emulated
@pytest.mark.parametrize("board", RUNNABLE)
@pytest.mark.parametrize("model", MODELS)
def test_outputs_are_as_promised(model: str, board: str, project_of: ProjectOf) -> None:
    made = project_of(model, board)
    result = runner.run(made.folder, made.board)
    assert result.passed
    assert result.matching == result.samples == 8
    if board in ("mps2_an385", "mps2_an386", "mps2_an500"):
        assert result.counter == "instructions"
        assert all(layer.count for layer in result.layers)


@pytest.mark.emulated
def test_profile_over_a_serial_line(built: ProjectOf) -> None:
    made = built("digits", "mps2_an386")
    with qemu_on_a_terminal("mps2-an386", made.elf, semihosting=False) as port:
        result = runner.profile(made.folder, port=port, timeout=120)
    assert result.passed
    assert result.samples == result.matching == 8
    assert all(layer.count for layer in result.layers)


Symbols = dict[str, tuple[int, int]]


def symbols(elf: Path) -> Symbols:
    """Name -> (address, size)."""
    listing = subprocess.run(["arm-none-eabi-nm", "-S", elf], capture_output=True, text=True)
    rows = [line.split() for line in listing.stdout.splitlines()]
    return {r[3]: (int(r[0], 16), int(r[1], 16)) for r in rows if len(r) == 4}


def inside(place: tuple[int, int], region: Region) -> bool:
    address, size = place
    return region.base <= address and address + size <= region.base + region.size


def check_places(made: Made) -> None:
    """Arena, kernels and weights lie where the Plan says, in the sizes that it says."""
    found, plan = symbols(made.elf), made.plan
    region = {r.name: r for r in made.board.memory}
    assert plan.regions
    for use in plan.regions:
        place = found[f"{plan.model}_arena_{cfile.identifier(use.name)}"]
        assert place[1] == use.used
        assert inside(place, region[use.name])
    flash, code = made.board.flash[0], made.board.code_ram or made.board.flash[0]
    kernels = {n: p for n, p in found.items() if n.startswith("tg_") and "_s8" in n}
    assert kernels
    assert all(inside(place, code) for place in kernels.values())
    assert inside(found[f"{plan.model}_run"], flash)
    source = (made.folder / f"src/model/{plan.model}_weights.c").read_text()
    weights = {n: p for n, p in found.items() if f" {n}[" in source}
    assert all(inside(place, flash) for place in weights.values())
    assert sum(-(-size // 4) * 4 for _, size in weights.values()) == plan.const_bytes


def linked(made: Made) -> dict[str, int]:
    """Object file of the application -> bytes of code and constants, by the linker's map."""
    text = (made.build / "zephyr/zephyr.map").read_text()
    text = text[text.index("Linker script and memory map") :]
    sizes: dict[str, int] = {}
    row = r"^ (\S+)\s+(0x[0-9a-f]+)\s+(0x[0-9a-f]+) \S*libapp\.a\((\S+)\.c\.obj\)$"
    for name, _, size, file in re.findall(row, text, re.MULTILINE):
        if name.startswith((".text", ".rodata")):
            sizes[file] = sizes.get(file, 0) + -(-int(size, 16) // 4) * 4
    return sizes


@pytest.mark.parametrize("board", ("nucleo_h743zi", "nucleo_l476rg", "nucleo_f746zg", "mps2_an385"))
@pytest.mark.parametrize("model", MODELS)
def test_sizes_are_as_predicted(model: str, board: str, built: ProjectOf) -> None:
    """Weights, tables and arena to the byte; kernels and all flash within 2 %."""
    made = built(model, board)
    plan, sizes = made.plan, linked(made)
    code = plan.footprint
    assert code is not None
    assert sizes[f"{model}_weights"] == plan.const_bytes
    found = symbols(made.elf)
    arena = [s for n, (_, s) in found.items() if n.startswith(f"{model}_arena_")]
    assert sum(arena) == plan.arena_bytes
    kernels = sum(sizes.get(Path(s).stem, 0) for s in plan.sources)
    assert code.kernels == pytest.approx(kernels, rel=0.02)
    network = sizes[model] + sizes[f"{model}_arena"]
    assert code.network == pytest.approx(network, rel=0.15)
    assert plan.flash_bytes == pytest.approx(plan.const_bytes + kernels + network, rel=0.02)
    if code.code_region:
        ends = [a + s for n, (a, s) in found.items() if n in ("tg_tiles", "tg_linear_s8")]
        region = plan.code_region
        assert region is not None and ends
        assert all(region.base < end <= region.base + code.resident * 1.02 for end in ends)


@pytest.mark.parametrize("board", ("nucleo_h743zi", "nucleo_l476rg", "nucleo_f746zg"))
def test_everything_lies_where_the_plan_says(board: str, built: ProjectOf) -> None:
    check_places(built("digits", board))


def crowded(board: Board, small: dict[str, int]) -> Board:
    """The same board with less room for us, so that the arena spreads."""
    memory = tuple(
        r.model_copy(update={"reserved": r.size - small[r.name]}) if r.name in small else r
        for r in board.memory
    )
    return board.model_copy(update={"memory": memory})


@pytest.mark.parametrize(
    "name, small, expected",
    (
        (
            "nucleo_h743zi",
            {"dtcm": 256, "axi_sram": 256, "sram1": 512, "sram2": 0x400, "sram3": 0x200},
            {"dtcm", "axi_sram", "sram1", "sram2"},
        ),
        ("nucleo_l476rg", {"sram1": 768}, {"sram1", "sram2"}),
    ),
)
def test_an_arena_spread_over_the_memories(
    name: str, small: dict[str, int], expected: set[str], tmp_path: Path
) -> None:
    made = make("digits", crowded(board_of(name), small), tmp_path / "app")
    assert {r.name for r in made.plan.regions} >= expected
    check_places(build(made))
    if name == "nucleo_h743zi":
        clocks = (made.folder / "src/memory_clocks.c").read_text()
        assert "LL_AHB2_GRP1_EnableClock(LL_AHB2_GRP1_PERIPH_D2SRAM1)" in clocks
        assert (
            "enable_memory_clocks"
            in subprocess.run(["arm-none-eabi-nm", made.elf], capture_output=True, text=True).stdout
        )


@pytest.mark.parametrize("board", ("nucleo_h743zi", "nucleo_f746zg"))
def test_caches_are_turned_on(board: str, built: ProjectOf) -> None:
    code = subprocess.run(
        [
            "arm-none-eabi-objdump",
            "-d",
            "--disassemble=soc_early_init_hook",
            built("digits", board).elf,
        ],
        capture_output=True,
        text=True,
    ).stdout
    assert "cache" in code or "dsb" in code


@pytest.mark.parametrize("board", ("nucleo_h743zi",))
def test_options_move_everything_to_the_default_memories(board: str, tmp_path: Path) -> None:
    made = build(
        make("digits", board_of(board), tmp_path / "app"),
        "-DCONFIG_TINYGEN_ARENA_DEFAULT_RAM=y",
        "-DCONFIG_TINYGEN_FAST_CODE=n",
    )
    found = symbols(made.elf)
    region = {r.name: r for r in made.board.memory}
    assert inside(found["digits_arena_dtcm"], region["axi_sram"])
    assert inside(found["tg_linear_s8"], region["flash"])
    assert "digits_sample_inputs" in found


def test_a_product_carries_no_samples(tmp_path: Path) -> None:
    options = ("-DCONFIG_TINYGEN_SELF_TEST=n", "-DCONFIG_TINYGEN_PROFILE=n")
    made = make("digits", board_of("nucleo_l476rg"), tmp_path / "app")
    main = made.folder / "src/main.c"
    main.write_text(
        main.read_text().replace("ARG_UNUSED(in);\n  return -ENODATA;", "return in[0];")
    )
    found = symbols(build(made, *options).elf)
    assert "digits_sample_inputs" not in found
    assert "digits_run" in found


def test_the_entry_of_platformio_builds(tmp_path: Path) -> None:
    """PlatformIO configures <project>/zephyr and compiles with what CMake says about target app."""
    made = make("digits", board_of("nucleo_h743zi"), tmp_path / "app")
    inner = build(Made(made.folder / "zephyr", made.board, made.plan))
    found = symbols(inner.elf)
    region = {r.name: r for r in made.board.memory}
    assert inside(found["digits_arena_dtcm"], region["dtcm"])
    assert inside(found["tg_linear_s8"], region["flash"])
