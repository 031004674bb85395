# SPDX-License-Identifier: Apache-2.0
"""The `.insn` forms of xpulp.h and insn.h are the words that a PULP assembler makes."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

HEADER = Path(__file__).parents[2] / "kernels/src/xpulpv2/xpulp.h"
ASSEMBLER = shutil.which("riscv64-unknown-elf-as")
RECORDED = {  # opcode, funct3, funct7, third register or None -> word for a0, a1 and a2
    ("0x57", "1", "0x5c", None): 0xB8C59557,  # pv.sdotsp.b
    ("0x57", "1", "0x50", None): 0xA0C59557,  # pv.sdotup.b
    ("0x57", "1", "0x54", None): 0xA8C59557,  # pv.sdotusp.b
    ("0x57", "1", "0x18", None): 0x30C59557,  # pv.max.b
    ("0x57", "1", "0x6c", None): 0xD8C59557,  # pv.packhi.b
    ("0x57", "1", "0x70", None): 0xE0C59557,  # pv.packlo.b
    ("0x33", "1", "0x0a", "x8"): 0x14859533,  # p.clip a0, a1, 8
    # p.addN a0, a1, a2 with the shift in a register: from the instruction set's table, as GVSoC
    # decodes it; no assembler's output was recorded.
    ("0x5b", "2", "0x20", None): 0x40C5A55B,
}


def forms() -> set[tuple[str, str, str, str | None]]:
    """Every `.insn` of the header."""
    text = re.sub(r'"\s*\\?\n\s*"', "", HEADER.read_text())
    found: set[tuple[str, str, str, str | None]] = set()
    numbers = r"(0x[0-9a-f]{2}), (\d), (0x[0-9a-f]{2})"
    for m in re.finditer(rf"\.insn r {numbers}, %\d, %\d, (%\d|x\d+)", text):
        third = m.group(4)
        found.add((m.group(1), m.group(2), m.group(3), third if third.startswith("x") else None))
    for m in re.finditer(rf'TG_R[34]\(\w+, "{numbers}"\)', text):
        found.add((m.group(1), m.group(2), m.group(3), None))
    return found


def test_every_form_is_recorded() -> None:
    assert forms() == set(RECORDED)


@pytest.mark.skipif(ASSEMBLER is None, reason="needs riscv64-unknown-elf-as")
def test_assembler_makes_the_recorded_words(tmp_path: Path) -> None:
    lines = [f".insn r {a}, {b}, {c}, a0, a1, {d or 'a2'}" for a, b, c, d in RECORDED]
    (tmp_path / "a.s").write_text("\n".join(lines) + "\n")
    flags = ["-march=rv32im", "-mabi=ilp32"]
    assert ASSEMBLER
    subprocess.run([ASSEMBLER, *flags, "a.s", "-o", "a.o"], cwd=tmp_path, check=True)
    copy = ["riscv64-unknown-elf-objcopy", "-O", "binary", "-j", ".text", "a.o", "a.bin"]
    subprocess.run(copy, cwd=tmp_path, check=True)
    words = struct.unpack(f"<{len(RECORDED)}I", (tmp_path / "a.bin").read_bytes())
    assert [hex(w) for w in words] == [hex(w) for w in RECORDED.values()]


LINES = {  # macro of insn.h -> word
    'P_LW("a0", "4", "a1")': 0x0045A50B,
    'P_LB("a0", "1", "a1")': 0x0015850B,
    'P_LH("a0", "2", "a1")': 0x0025950B,
    'P_SB("a0", "1", "a1")': 0x00A580AB,
    'P_SW("a0", "4", "a1")': 0x00A5A22B,
    'P_SDOTSP("a0", "a1", "a2")': 0xB8C59557,
    # pv.dotsp.b's word with the width of pv.sdotsp.h
    'P_DOTSPH("a0", "a1", "a2")': 0x98C58557,
    'P_MAX("a0", "a2")': 0x30C51557,
    # pv.dotup.b's word with the sign field of pv.sdotusp.b
    'P_DOTUSP("a0", "a1", "a2")': 0x88C59557,
    'P_SDOTUSP("a0", "a1", "a2")': 0xA8C59557,
    'P_SDOTUP("a0", "a1", "a2")': 0xA0C59557,
    'P_PACKHI("a0", "a1", "a2")': 0xD8C59557,
    'P_PACKLO("a0", "a1", "a2")': 0xE0C59557,
    'P_MAC("a0", "a1", "a2")': 0x42C58533,
    'P_CLIP8("a0")': 0x14851533,
    'P_CLIPR("a0", "a2")': 0x14C55533,
    # The recorded words of p.lw with a register in place of the offset, its function field
    # replaced: p.lbu without increment, p.sw with; from the instruction set's table, as above.
    'P_LBUR("a0", "a2", "a1")': 0x40C5F503,
    'P_SWR("a0", "a2", "a1")': 0x00A5E62B,
    'P_SBR("a0", "a2", "a1")': 0x00A5C62B,
    'P_ADDNR("a0", "a1", "a2")': 0x40C5A55B,
    # lp.setup of a body of three instructions: recorded for a0, here with other counts.
    'P_LOOP0_A3("1f") "nop\\nnop\\n1: nop\\n"': 0x0066C07B,
    'P_LOOP0_T4("1f") "nop\\nnop\\n1: nop\\n"': 0x006EC07B,
    'P_LOOP1_T0("1f") "nop\\nnop\\n1: nop\\n"': 0x0062C0FB,
    'P_LOOP1_A4("1f") "nop\\nnop\\n1: nop\\n"': 0x006740FB,
}
NOP = 0x00000013


def test_every_line_is_recorded() -> None:
    text = HEADER.with_name("insn.h").read_text()
    defined = set(re.findall(r"#define (P_\w+)\(", text)) - {"P_MOVE", "P_ADD", "P_SUB"}
    assert defined == {line.split("(")[0] for line in LINES}


@pytest.mark.skipif(
    shutil.which("riscv64-unknown-elf-gcc") is None, reason="needs riscv64-unknown-elf-gcc"
)
def test_lines_are_the_recorded_words(tmp_path: Path) -> None:
    body = "".join(f"__asm__({line});\n" for line in LINES)
    (tmp_path / "a.c").write_text(f'#include "xpulpv2/insn.h"\n{body}')
    compile_ = ["riscv64-unknown-elf-gcc", "-march=rv32im", "-mabi=ilp32", "-DTG_XPULP_INSN"]
    include = f"-I{HEADER.parents[1]}"
    subprocess.run([*compile_, include, "-c", "a.c", "-o", "a.o"], cwd=tmp_path, check=True)
    copy = ["riscv64-unknown-elf-objcopy", "-O", "binary", "-j", ".text", "a.o", "a.bin"]
    subprocess.run(copy, cwd=tmp_path, check=True)
    binary = (tmp_path / "a.bin").read_bytes()
    words = struct.unpack(f"<{len(binary) // 4}I", binary)
    assert [hex(w) for w in words if w != NOP] == [hex(w) for w in LINES.values()]


@pytest.mark.skipif(
    shutil.which("riscv64-unknown-elf-gcc") is None, reason="needs riscv64-unknown-elf-gcc"
)
@pytest.mark.parametrize(
    "source",
    [
        *("linear", "attention_project", "attention_attend", "tiles", "group", "wide", "few"),
        *("layernorm", "add", "lut", "conv"),
    ],
)
def test_kernels_compile_with_a_stock_compiler(source: str, tmp_path: Path) -> None:
    kernels = HEADER.parents[2]
    subprocess.run(
        [
            "riscv64-unknown-elf-gcc",
            *("-march=rv32im", "-mabi=ilp32", "-O3", "-std=gnu11", "-ffreestanding"),
            *("-Wall", "-Wextra", "-Werror", "-DTG_XPULP_INSN"),
            *(f"-I{kernels / 'include'}", f"-I{kernels / 'src'}"),
            *("-c", str(kernels / f"src/xpulpv2/{source}.c"), "-o", str(tmp_path / "a.o")),
        ],
        check=True,
    )
