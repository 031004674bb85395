# SPDX-License-Identifier: Apache-2.0
"""Static cycle estimates of straight blocks of Thumb code, zero-wait-state memory assumed.

Two models a core; they are estimates, about 10 % right on Cortex-M4 and 25 % on M7:

a  llvm-mca's scheduling model of the core, a block in steady state (50 iterations).
b  Cortex-M4: the table of the technical reference manual. A load takes 2 cycles, 1 when it follows
   another load or store; LDM and STM 1 + a word; a taken branch 3; UDIV 12; all else 1.
   Cortex-M7: in order, two instructions a cycle, of them one load or store, one multiplication, one
   branch; a loaded word is ready after 3 cycles, a product after 2 (1 as the accumulator of the
   next), the rest after 1; LDM and STM a cycle a word; a taken branch ends its cycle and costs 1
   more; UDIV 12.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

_REGISTER = re.compile(r"\b(r\d+|ip|lr|sp|pc|sl|fp|sb)\b")
_MULTIPLY = ("smla", "smua", "smul", "smml", "smmu", "mul", "mla", "mls", "umul", "umla", "umaa")
_NO_RESULT = (
    "str",
    "cmp",
    "cmn",
    "tst",
    "teq",
    "b",
    "cb",
    "it",
    "push",
    "nop",
    "stm",
    "pld",
    "bkpt",
)


@dataclass(frozen=True)
class Instruction:
    """Mnemonic without width suffix, operands as objdump writes them."""

    name: str
    operands: str

    @property
    def words(self) -> int:
        """Registers that one instruction loads or stores."""
        if self.name.startswith(("push", "pop", "ldm", "stm", "vpush", "vpop", "vldm", "vstm")):
            listed = self.operands[self.operands.find("{") :]
            total = 0
            for part in listed.strip("{} ").split(","):
                ends = [int(e[1:]) for e in part.strip().split("-") if e[1:].isdigit()]
                total += ends[1] - ends[0] + 1 if len(ends) == 2 else 1
            return total
        if self.name.startswith(("ldrd", "strd")):
            return 2
        return 1 if self.is_memory else 0

    @property
    def is_load(self) -> bool:
        return self.name.startswith(("ldr", "ldm", "pop", "vldr", "vldm", "vpop"))

    @property
    def is_memory(self) -> bool:
        return self.is_load or self.name.startswith(("str", "stm", "push", "vst", "vpush"))

    @property
    def is_multiply(self) -> bool:
        return self.name.startswith(_MULTIPLY)

    @property
    def is_branch(self) -> bool:
        jumps = re.fullmatch(
            r"(b|bl|bx|blx|cbz|cbnz|tbb|tbh)(eq|ne|[cghlmpv][cegilost])?", self.name
        )
        loads_pc = self.is_load and re.search(r"\bpc\b", self.operands.split("[")[0]) is not None
        return jumps is not None or loads_pc

    @property
    def registers(self) -> tuple[list[str], list[str]]:
        """(written, read)."""
        found = _REGISTER.findall(self.operands)
        if self.name.startswith(_NO_RESULT) or not found:
            return [], found
        written = found[
            : 2 if self.name.startswith(("ldrd", "smull", "umull", "smlal", "umlal")) else 1
        ]
        if self.is_load and self.words > 1 and not self.name.startswith("ldrd"):
            return found, found[:1]
        in_place = self.name.startswith(("bfi", "movt", "smlal", "umlal")) or len(found) == 1
        two = (
            len(found) == 2
            and not self.is_memory
            and not self.name.startswith(("mov", "sxt", "uxt"))
        )
        return written, found if in_place or two else found[len(written) :]


def m4(block: Sequence[Instruction], taken: bool) -> float:
    cycles, after_memory = 0, False
    for i in block:
        if i.is_branch:
            continue
        if i.is_memory:
            single = i.words == 1
            cycles += (1 if after_memory or not i.is_load else 2) if single else 1 + i.words
            after_memory = single
        else:
            cycles += 12 if i.name.startswith(("udiv", "sdiv")) else 1
            after_memory = False
    for i in block:
        if i.is_branch:
            cycles += (3 if taken else 1) + (i.words + 1 if i.is_load else 0)
    return cycles


def m7(block: Sequence[Instruction], taken: bool) -> float:
    ready: dict[str, int] = {}
    products: dict[str, int] = {}  # when a product can be accumulated onto
    cycle, used = 0, []
    for i in block:
        written, read = i.registers
        kind = (
            "branch" if i.is_branch else "memory" if i.is_memory else "mac" if i.is_multiply else ""
        )
        start = cycle
        accumulator = read[-1] if i.is_multiply and len(read) >= 3 else None
        for n, r in enumerate(read):
            last = accumulator == r and n == len(read) - 1
            start = max(start, products.get(r, 0) if last and r in products else ready.get(r, 0))
        if start == cycle and (len(used) == 2 or (kind and kind in used)):
            start += 1
        if start > cycle:
            cycle, used = start, []
        used.append(kind)
        wait = 3 if i.is_load else 2 if kind == "mac" else 1
        if i.name.startswith(("udiv", "sdiv")):
            wait = 12
        for r in written:
            ready[r] = cycle + wait
            if kind == "mac":
                products[r] = cycle + 1
            else:
                products.pop(r, None)
        if i.words > 1:
            cycle, used = cycle + i.words - 1, [kind, kind]
    return cycle + 1 + (1 if taken and any(i.is_branch for i in block) else 0)


def mca(blocks: Sequence[Sequence[Instruction]], core: str) -> list[float] | None:
    """Cycles of each block by llvm-mca; None where it is not installed."""
    program = shutil.which("llvm-mca")
    if program is None:
        return None
    text = [".syntax unified", ".thumb"]
    for n, block in enumerate(blocks):
        text.append(f"# LLVM-MCA-BEGIN {n}")
        for i in block:
            if i.name in ("it", "ite", "itt", "itte", "ittt", "nop", "bkpt") or i.is_branch:
                text.append("nop")
            else:
                text.append(f"{i.name} {i.operands}")
        text.append("# LLVM-MCA-END")
    source = "\n".join(text) + "\n"
    command = [program, "-mtriple=thumbv7em-none-eabihf", f"-mcpu={core}", "-iterations=50"]
    done = subprocess.run(
        [*command, "-instruction-info=false", "-resource-pressure=false", "-"],
        input=source,
        capture_output=True,
        text=True,
    )
    found = re.findall(r"\[(\d+)\] Code Region.*?Total Cycles: +(\d+)", done.stdout, re.S)
    cycles = {int(n): int(c) / 50 for n, c in found}
    if len(cycles) != len(blocks):
        raise RuntimeError(
            f"llvm-mca read {len(cycles)} of {len(blocks)} blocks:\n{done.stderr[:2000]}"
        )
    return [cycles[n] for n in range(len(blocks))]
