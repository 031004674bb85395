# SPDX-License-Identifier: Apache-2.0
"""What the comments above the assembly say of an iteration is what stands there.

On xpulpv2 the loops are the hardware's, so the lines between their set-up and their last label are
all that an iteration takes. On armv7em they are unrolled, and the assembler says."""

from __future__ import annotations

import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from kernel_harness import INCLUDES, KERNELS

FOLDER = KERNELS / "src" / "xpulpv2"

COUNTS = {
    "tiles": {
        "tg_tiles_rows_high": [87 + 24, 24],
        "tg_tiles_rows_low": [87 + 24, 24],
        "tg_tiles_columns_clip": [103 + 24, 24],
        "tg_tiles_row_narrow": [9],
        "tg_tiles_scores_clip": [24],
        "tg_tiles_pairs_high": [80],
        "tg_tiles_weights": [20],
        "tg_tiles_softmax_narrow": [8, 12],
        "tg_tiles_context": [63 + 24, 24],
        "tg_tiles_context_pair": [14],
        "tg_tiles_context_narrow": [86 + 24, 24],
        "tg_tiles_context_narrow_pair": [14],
    },
    "few": {
        "tg_few_scores": [11],
        "tg_few_project": [137, 29, 24, 20],
        "tg_few_context": [81, 26, 40],
    },
    "add": {"tg_add_pairs": [14], "tg_add_wide_pairs": [14]},
    "lut": {"tg_lut_pairs": [6]},
    "layernorm": {"tg_layernorm_pairs": [20], "tg_layernorm_long": [13]},
}
"""Function -> instructions of its hardware loops, in the order of the code; an outer loop with one
round of the inner one."""

SCORES = 92
"""Instructions of a tile of scores besides its product: its loop ends with a branch."""

PAIRS = {4: (14, 15, 14), 2: (8, 9, 8), 1: (5, 6, 5)}
"""Rows -> instructions of a pair: joint, split, wide."""
EPILOGUES = {"linear": (44, 27, 18), "score": (35, 23, 19), "context": (39, 24, 16)}
"""Of 4, 2 and 1 rows, up to the branch that begins the next tile."""


def functions(source: str) -> dict[str, list[str]]:
    """Name -> the lines of assembly."""
    command = ["cc", "-E", "-P", "-DTG_XPULP_INSN", *INCLUDES, str(FOLDER / f"{source}.c")]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = {}
    for block in re.finditer(r'__asm__\(((?:\s*"(?:[^"\\]|\\.)*")+)\s*\)', text):
        parts = re.findall(r'"((?:[^"\\]|\\.)*)"', block[1])
        lines = "".join(parts).replace("\\n", "\n").split("\n")
        if name := re.search(r"\.globl (\w+)", "\n".join(lines)):
            found[name[1]] = lines
    return found


def is_instruction(line: str) -> bool:
    words = re.sub(r"^\s*\w+:\s*", "", line).strip()
    return bool(words) and (words[0] != "." or words.startswith((".insn", ".4byte")))


def loops(lines: list[str]) -> list[int]:
    counts = []
    for i, line in enumerate(lines):
        if end := re.search(r"\.4byte \(\(\((\d)f - \.\)", line):
            label = f"{end[1]}:"
            last = next(j for j in range(i, len(lines)) if lines[j].strip().startswith(label))
            counts.append(sum(map(is_instruction, lines[i + 1 : last + 1])))
    return counts


@pytest.mark.skipif(shutil.which("cc") is None, reason="no host C compiler (cc)")
@pytest.mark.parametrize("source", COUNTS)
def test_iterations_take_what_comments_say(source: str) -> None:
    found = functions(source)
    assert {name: loops(found[name]) for name in COUNTS[source]} == COUNTS[source]


@pytest.mark.skipif(shutil.which("cc") is None, reason="no host C compiler (cc)")
@pytest.mark.parametrize("rounding", ["high", "low", "clip"])
def test_a_tile_of_scores_takes_what_its_comment_says(rounding: str) -> None:
    lines = functions("tiles")[f"tg_tiles_scores_{rounding}"]
    first = next(i for i, line in enumerate(lines) if line.startswith("3:"))
    last = next(i for i, line in enumerate(lines) if "bnez ra, 3b" in line)
    (product,) = loops(lines)
    assert sum(map(is_instruction, lines[first : last + 1])) - product == SCORES


def armv7em(into: Path) -> dict[str, list[str]]:
    """Function of tiles.c -> its instructions, without padding."""
    gcc = "arm-none-eabi-gcc"
    source, out = str(KERNELS / "src/armv7em/tiles.c"), str(into / "tiles.o")
    core = ("-mcpu=cortex-m7", "-mthumb", "-O3", "-ffreestanding")
    subprocess.run([gcc, *core, *INCLUDES, "-c", source, "-o", out], check=True)
    dump = ["arm-none-eabi-objdump", "-d", "--no-show-raw-insn", out]
    text = subprocess.run(dump, capture_output=True, text=True, check=True).stdout
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if name := re.match(r"[0-9a-f]+ <(\w+)>:$", line):
            lines = found.setdefault(name[1], [])
        elif (code := re.match(r" +[0-9a-f]+:\t(\S+)", line)) and code[1] != "nop":
            lines.append(code[1])
    return found


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="no arm-none-eabi-gcc")
def test_tiles_of_armv7em_take_what_comments_say(tmp_path: Path) -> None:
    found = armv7em(tmp_path)
    for at, rows in enumerate((4, 2, 1)):
        for name, counts in EPILOGUES.items():
            assert len(found[f"tg_{name}_{rows}"]) - 1 == counts[at], (name, rows)
        for form, unrolled, count in zip(
            ("joint", "split", "attend"), (32, 8, 32), PAIRS[rows], strict=True
        ):
            lines = found[f"tg_{form}_{rows}"]
            products = [i for i, code in enumerate(lines) if code == "smlad"]
            # Every pair ends with the same one of its products.
            ends = products[-1 :: -2 * rows][:unrolled]
            assert len(ends) == unrolled, (form, rows)
            assert {a - b for a, b in pairwise(ends)} == {count}, (form, rows)
