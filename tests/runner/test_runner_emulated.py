# SPDX-License-Identifier: Apache-2.0
"""Firmware of both compilers in both emulators: results, equal counts, faults."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Literal

import pytest
from elftools.elf.elffile import ELFFile
from runner_toy import ProjectOf, make_project

from tinygen.boards import Board, Region, load_board
from tinygen.errors import TinygenError
from tinygen.runner import Place, build, find_toolchain, run
from tinygen.runner.console import Console
from tinygen.runner.qemu import run_qemu
from tinygen.runner.toolchain import find_qemu, has_unicorn

pytestmark = pytest.mark.emulated

Compiler = Literal["gcc", "zig"]
EMULATORS: tuple[Place, ...] = ("qemu", "unicorn")


def _use(compiler: Compiler, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the runner choose this compiler, or skip."""
    if compiler == "zig":
        ziglang = pytest.importorskip("ziglang", reason="PyPI's ziglang is not installed")
        zig = Path(ziglang.__file__).parent / "zig"
        monkeypatch.setenv("TINYGEN_CC", f"{zig} cc")
    elif shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")


def _need(place: str) -> None:
    if place == "qemu" and find_qemu() is None:
        pytest.skip("qemu-system-arm is not installed")
    if place == "unicorn" and not has_unicorn():
        pytest.skip("PyPI's unicorn is not installed")


@pytest.mark.parametrize("compiler", ["gcc", "zig"])
@pytest.mark.parametrize("board", ["mps2_an500", "mps2_an386"])
def test_both_emulators_agree(
    board: str, compiler: Compiler, project_of: ProjectOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same ELF gives the same answers and, to the instruction, the same counts."""
    _use(compiler, monkeypatch)
    results = []
    for place in EMULATORS:
        _need(place)
        result = run(project_of(board), load_board(board), place, max_samples=1)
        assert result.passed and result.samples == 1 and result.counter == "instructions"
        results.append(result)
    qemu, unicorn = results
    assert qemu.elf == unicorn.elf
    assert qemu.layers == unicorn.layers and qemu.total == unicorn.total
    assert all(layer.count and layer.count > 0 for layer in qemu.layers)
    assert qemu.stack == unicorn.stack and 0 < (qemu.stack or 0) < 4096


@pytest.mark.parametrize("place", EMULATORS)
def test_all_samples(place: Literal["qemu", "unicorn"], project_of: ProjectOf) -> None:
    _need(place)
    board = load_board("mps2_an500")
    seen: list[tuple[int, int]] = []
    result = run(
        project_of(board.name),
        board,
        place,
        progress=lambda done, total: seen.append((done, total)),
    )
    expected = 12 if place == "qemu" else 8
    assert result.passed and result.samples == result.matching == expected
    assert result.answers[0].given == result.answers[0].labels
    assert seen[-1] == (expected, expected)
    assert ("only the first 8" in result.note) == (place == "unicorn")


@pytest.mark.parametrize("place", EMULATORS)
def test_a_layer_of_known_length(place: Literal["qemu", "unicorn"], tmp_path: Path) -> None:
    """An exact number of instructions more in one layer, and nothing elsewhere."""
    _need(place)
    board = load_board("mps2_an500")
    totals = []
    for extra in (0, 1000):
        project = make_project(tmp_path / f"nops{extra}", board)
        source = project / "src" / "model" / "toy.c"
        nops = f'  __asm__ volatile(".rept {extra}\\n\\tnop\\n\\t.endr");\n  TG_PROFILE_LAYER(0);'
        source.write_text(source.read_text().replace("  TG_PROFILE_LAYER(0);", nops))
        result = run(project, board, place, max_samples=1)
        totals.append([layer.count or 0 for layer in result.layers])
    assert [b - a for a, b in zip(*totals, strict=True)] == [1000, 0, 0]


@pytest.mark.parametrize("place", EMULATORS)
def test_faults_are_located(place: Literal["qemu", "unicorn"], tmp_path: Path) -> None:
    _need(place)
    board = load_board("mps2_an500")
    crash = make_project(tmp_path / "crash", board, defines="#define TOY_CRASH 0x90000000")
    with pytest.raises(TinygenError, match=r"crashed: .* at toy_run\+0x"):
        run(crash, board, place)
    deep = make_project(tmp_path / "deep", board, defines="#define TOY_RECURSE 1000")
    with pytest.raises(TinygenError, match=r"crashed: .*overflow"):
        run(deep, board, place)
    hang = make_project(tmp_path / "hang", board, defines="#define TOY_HANG")
    with pytest.raises(TinygenError, match=r"did not end within 5 s.*finished 0 of"):
        run(hang, board, place, timeout=5)


@pytest.mark.parametrize("compiler", ["gcc", "zig"])
@pytest.mark.parametrize("level", ["-O0", "-Og", "-O3"])
def test_a_fault_names_the_place_at_every_level(
    level: str, compiler: Compiler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report must not run over the frame that it reads, which is near the top of the stack."""
    _use(compiler, monkeypatch)
    _need("qemu")
    board = load_board("mps2_an500")
    project = make_project(tmp_path / "p", board)
    main = project / "src" / "main.c"
    crash = "  *(volatile int *)0x90000000 = 1;\n#ifdef TG_SELF_TEST"
    main.write_text(main.read_text().replace("#ifdef TG_SELF_TEST", crash))
    cmake = project / "CMakeLists.txt"
    cmake.write_text(cmake.read_text().replace('"-O3 -g"', f'"{level} -g"'))
    with pytest.raises(TinygenError, match="crashed: ") as e:
        run(project, board, "qemu")
    found = re.search(r"at main\+0x(\w+) ", str(e.value))
    assert found, e.value
    (elf,) = project.glob("build/*/firmware.elf")
    with elf.open("rb") as file:
        symbols = ELFFile(file).get_section_by_name(".symtab")
        assert symbols is not None
        (size,) = [s["st_size"] for s in symbols.iter_symbols() if s.name == "main"]
    assert 0 < int(found[1], 16) < size


@pytest.mark.parametrize("compiler", ["gcc", "zig"])
@pytest.mark.parametrize("handled", [False, True])
def test_interrupts(
    handled: bool, compiler: Compiler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that nothing handles is reported; tg_irq returns to the code that it interrupted."""
    _use(compiler, monkeypatch)
    _need("qemu")
    board = load_board("mps2_an500")
    mine = "void tg_irq(int number); volatile int seen; void tg_irq(int number) { seen = number; }"
    project = make_project(tmp_path / "p", board, defines=mine if handled else "")
    source = project / "src" / "model" / "toy.c"
    pend = "*(volatile int *)0xe000e100 = 1 << 13; *(volatile int *)0xe000e200 = 1 << 13;"
    check = (
        "*(volatile int *)(seen == 13 ? (int *)&seen : (int *)0x90000000) = 0;" if handled else ""
    )
    layer = "  TG_PROFILE_LAYER(2);"
    source.write_text(source.read_text().replace(layer, f"  {pend}\n  {check}\n{layer}"))
    if handled:
        assert run(project, board, "qemu").passed
    else:
        with pytest.raises(TinygenError, match=r"crashed: interrupt 13, .* at toy_run\+0x"):
            run(project, board, "qemu")


def test_code_of_the_users_may_use_newlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _use("gcc", monkeypatch)
    _need("qemu")
    board = load_board("mps2_an500")
    libc = subprocess.run(
        ["arm-none-eabi-gcc", "-print-file-name=libnosys.a"], capture_output=True, text=True
    ).stdout.strip()
    if not Path(libc).is_absolute():
        pytest.skip("newlib is not installed")
    project = make_project(tmp_path / "p", board)
    main = project / "src" / "main.c"
    text = main.read_text().replace(
        "  tg_exit(0);",
        '  char *x = malloc(8);\n  strcpy(x, "four");\n'
        '  printf("length %d %s\\n", (int)strlen(x), x);\n  fflush(stdout);\n  tg_exit(0);',
    )
    main.write_text(f"#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n{text}")
    result = run(project, board, "qemu")
    assert result.passed
    for suffix in ("map", "hex", "bin"):
        assert result.elf.with_suffix(f".{suffix}").stat().st_size > 0
    console = Console()
    assert run_qemu(build(project, board, find_toolchain(board)), board, console, 1, 60) == 0
    assert console.other == ["length 4 four"]


@pytest.mark.parametrize("compiler", ["gcc", "zig"])
def test_a_product_has_no_self_test(
    compiler: Compiler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _use(compiler, monkeypatch)
    board = load_board("mps2_an500")
    project = make_project(tmp_path / "p", board)
    whole = build(project, board, find_toolchain(board)).flash_bytes
    cmake = project / "CMakeLists.txt"
    cmake.write_text(cmake.read_text().replace('before your own code" ON', 'before your own" OFF'))
    shutil.rmtree(project / "build")
    assert build(project, board, find_toolchain(board)).flash_bytes < whole


@pytest.mark.parametrize("compiler", ["gcc", "zig"])
def test_an_arena_in_a_named_region(
    compiler: Compiler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A region with a section gets an output section that takes no flash."""
    _use(compiler, monkeypatch)
    plain = load_board("mps2_an500")
    fast = Region(name="fast-ram", kind="ram", base=0x20200000, size=0x100000, section=".fast")
    ram = Region(name="ram", kind="ram", base=0x20000000, size=0x200000)
    board: Board = plain.model_copy(update={"memory": (*plain.flash, ram, fast)})
    project = make_project(tmp_path / "p", board, defines='#define TOY_SECTION ".fast"')
    elf = build(project, board, find_toolchain(board)).elf
    with elf.open("rb") as file:
        section = ELFFile(file).get_section_by_name(".fast")
        assert section is not None
        assert section["sh_addr"] == fast.base and section["sh_size"] == 64
        assert section["sh_type"] == "SHT_NOBITS"
    for place in EMULATORS:
        _need(place)
        assert run(project, board, place, max_samples=2).passed


def test_too_large_for_the_memory(tmp_path: Path) -> None:
    plain = load_board("mps2_an500")
    small = Region(name="ram", kind="ram", base=0x20000000, size=0x4100)
    board = plain.model_copy(update={"memory": (*plain.flash, small)})
    project = make_project(tmp_path / "p", board)
    with pytest.raises(TinygenError, match=r"building .* failed: .*(overflow|fit)"):
        build(project, board, find_toolchain(board))
