# SPDX-License-Identifier: Apache-2.0
"""General operators as a C program: what the emitter writes for each, with inputs and guards.

The program is `run_cases` of tests/kernels/driver.h, so that it runs where the kernels' tests do.
Every other case is run in two parts, as cores share it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from operator_cases import Case

from tinygen.emitter.cfile import ctype, numbers
from tinygen.lowering import Names, Slot
from tinygen.operators.general import GeneralStep

GUARD = 16
HEAD = f"""#include "tinygen/binary.h"
#include "tinygen/matmul.h"
#include "tinygen/move.h"
#include "tinygen/rmsnorm.h"
#include "tinygen/softmax.h"
#include "tinygen/weighted.h"

#include "driver.h"

enum {{ GUARD = {GUARD} }};

/* y with a guard before and behind it, filled with what no case leaves there. */
static int8_t *fresh(int32_t *out, int32_t size) {{
  uint8_t *y = (uint8_t *)out;
  for (int32_t i = 0; i < size + 2 * GUARD; i++)
    y[i] = 0x5A;
  return (int8_t *)y + GUARD;
}}

/* Scratch of exactly its size where sanitizers watch it. */
static inline void *room(uint8_t *arena, size_t size) {{
#ifdef TG_HOST
  (void)arena;
  return malloc(size);
#else
  (void)size;
  return arena;
#endif
}}

static inline void done(void *scratch) {{
#ifdef TG_HOST
  free(scratch);
#else
  (void)scratch;
#endif
}}
"""


def _array(name: str, values: NDArray[np.generic]) -> str:
    return f"static const {ctype(values)} {name}[] = {{{numbers(values)}}};\n"


def _size(case: Case) -> int:
    """Words of one answer."""
    return (int(np.prod(case.op.out)) + 2 * GUARD + 3) // 4


def _function(i: int, case: Case) -> str:
    op, ident = case.op, f"case_{i}"
    text = "".join(_array(f"{ident}_{role}", a) for role, a in op.constants())
    text += "".join(_array(f"{ident}_x{k}", x) for k, x in enumerate(case.inputs))
    inputs = tuple(f"{ident}_x{k}" for k in range(len(case.inputs)))
    scratch = op.scratch()
    step = GeneralStep(op, Slot("scratch") if scratch else None)
    names = Names(ident, inputs, "y", lambda _: "scratch", lambda role: f"{ident}_{role}")
    text += step.blocks(names)
    room = "scratch" if scratch else None
    lines = step.statements(names, room, lambda rows: f"0, {rows}")
    if i % 2:
        first = step.statements(names, room, lambda rows: f"0, {rows // 2}")
        lines = first + step.statements(names, room, lambda rows: f"{rows // 2}, {rows}")
    body = "\n  ".join(lines)
    if scratch:
        body = f"void *scratch = room(arena, {scratch});\n  {body}\n  done(scratch);"
    else:
        body = f"(void)arena;\n  {body}"
    return f"{text}\nstatic void run_{i}(int8_t *y, uint8_t *arena) {{\n  {body}\n}}\n\n"


def program(cases: list[Case]) -> str:
    """A C file."""
    runs = "".join(
        f"  run_{i}(fresh(out + at, {int(np.prod(case.op.out))}), arena);\n  at += {_size(case)};\n"
        for i, case in enumerate(cases)
    )
    return (
        HEAD
        + "".join(_function(i, case) for i, case in enumerate(cases))
        + "size_t run_cases(const int32_t *in, int32_t *out, uint8_t *arena) {\n"
        + "  (void)in;\n  size_t at = 0;\n"
        + runs
        + "  return 4 * at;\n}\n"
    )


def judge(cases: list[Case], answers: bytes) -> None:
    """Every answer must be the reference's bit for bit, and its guards untouched."""
    at = 0
    for case in cases:
        size = int(np.prod(case.op.out))
        got = np.frombuffer(answers, np.int8, size + 2 * GUARD, at)
        at += 4 * _size(case)
        want = case.op.reference(case.inputs).reshape(-1)
        wrong = np.flatnonzero(got[GUARD : GUARD + size] != want)
        assert not wrong.size, (
            f"{case.note}: {wrong.size} of {size} differ, first at {wrong[0]}: "
            f"{got[GUARD + wrong[0]]}, reference {want[wrong[0]]}"
        )
        guards = np.concatenate([got[:GUARD], got[GUARD + size :]])
        assert np.all(guards == 0x5A), f"{case.note}: wrote beside its result"
    assert at == len(answers)
