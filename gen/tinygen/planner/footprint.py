# SPDX-License-Identifier: Apache-2.0
"""What a plan's code takes, before anything is compiled: bytes in flash and on the stack.

targets/<target>/footprint.json holds every section of every kernel on every core (its bytes, its
stack frame, the sections that it needs), measured by benchmarks/code_size.py. Sections are followed
from the functions that the network calls, as the linker follows them. The figures are those of the
compiler and optimisation that the file names; kernels that change need a new measurement.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from tinygen.boards import Board, Region
from tinygen.lowering import Step
from tinygen.planner.plan import Footprint
from tinygen.targets.measured import measured

SAVED = 40
"""Bytes of registers that a function keeps on the stack at most, on a core of 32 bits."""
_HASH, _VERSION = 68, 8
"""The model's hash and the generator's version, as strings."""


@dataclass(frozen=True)
class Section:
    """bytes: rounded up to its alignment.  stack: bytes of its frame.  uses: what it needs."""

    bytes: int
    stack: int
    uses: tuple[str, ...]


@dataclass(frozen=True)
class CodeModel:
    """sections: <file>:<function>, <file>:.rodata... and libgcc:<function> of one core.

    fixed, call: bytes of the network's own code.  run_stack: largest frame of <model>_run.
    """

    compiler: str
    sections: Mapping[str, Section]
    fixed: float
    call: float
    run_stack: int

    def closure(self, roots: Iterable[str]) -> set[str]:
        """Sections that these need, with them."""
        found: set[str] = set()
        ahead = list(roots)
        while ahead:
            key = ahead.pop()
            if key not in found:
                found.add(key)
                ahead += self.sections[key].uses
        return found

    def depth(self, key: str, above: frozenset[str] = frozenset()) -> int:
        """Deepest use of the stack by a function, bytes; kernels do not recurse."""
        if key in above:
            return 0
        section, below = self.sections[key], above | {key}
        return section.stack + max((self.depth(k, below) for k in section.uses), default=0)


@cache
def load_code_model(target: str, cpu: str) -> CodeModel | None:
    """None where nobody has measured this core."""
    path = measured(target, "footprint")
    if not path.is_file():
        return None
    data = json.loads(path.read_text(encoding="utf-8"))
    core = data["cores"].get(cpu)
    if core is None:
        return None
    network = core["network"]
    return CodeModel(
        data["compiler"],
        {key: Section(s[0], s[1], tuple(s[2:])) for key, s in core["sections"].items()},
        *(network[k] for k in ("fixed", "call", "stack")),
    )


def footprint(
    steps: Sequence[Step],
    sources: Sequence[str],
    regions: int,
    ends: int,
    target: str,
    board: Board,
) -> Footprint | None:
    """sources: C files under kernels/src.  regions: of the arena.  ends: inputs and outputs.  None:
    unknown for this core."""
    model = load_code_model(target, board.core.cpu)
    if model is None:
        return None
    roots = []
    for function in called(steps):
        key = next((k for s in sources if (k := f"{s}:{function}") in model.sections), None)
        if key is None:
            return None
        roots.append(key)
    linked = model.closure(roots)
    # What is relocated is linked whole, needed or not.
    whole = {k for k in model.sections if k.split(":")[0] in sources and ":.rodata" not in k}
    resident = sum(model.sections[k].bytes for k in whole)
    fast = _fits(board.code_ram, resident)
    kernels = sum(model.sections[k].bytes for k in (linked | whole if fast else linked))
    code = model.fixed + model.call * calls(steps)
    data = sum(s.args.block_bytes for s in steps) + 4 * max(1, regions) + _HASH + _VERSION
    deepest = max((model.depth(k) for k in roots), default=0)
    packed = (
        SAVED + 4 * ends if ends > 2 else 0
    )  # <model>_run_packed is there, with their addresses
    return Footprint(
        kernels=kernels,
        network=math.ceil(code) + data,
        stack=-(-(model.run_stack + packed + deepest) // 8) * 8,
        code_region=fast.name if fast else None,
        resident=resident if fast else 0,
        compiler=model.compiler,
    )


def _fits(region: Region | None, size: int) -> Region | None:
    return region if region is not None and size <= region.usable else None


def called(steps: Sequence[Step]) -> list[str]:
    """The kernels' functions that <model>_run calls, each once."""
    return sorted({f for step in steps for f in step.args.functions()})


def calls(steps: Sequence[Step]) -> int:
    """Calls in the text of <model>_run, those of the profile included."""
    return len(steps) + sum(1 for step in steps for _ in step.args.functions())
