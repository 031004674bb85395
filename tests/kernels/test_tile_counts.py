# SPDX-License-Identifier: Apache-2.0
"""What the comments above the assembly of xpulpv2 say of an iteration is what stands there.

The loops are the hardware's, so the lines between their set-up and their last label are all that
an iteration takes."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from kernel_harness import INCLUDES, KERNELS

FOLDER = KERNELS / "src" / "xpulpv2"

"""Function -> instructions of its hardware loops, in the order of the code; an outer loop with one
round of the inner one."""
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
        "tg_tiles_context_pair": [14],
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
