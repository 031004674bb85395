# SPDX-License-Identifier: Apache-2.0
"""Random operators as a C program: what the emitter writes for each, with inputs and guards.

The program is `run_cases` of tests/kernels/driver.h, so that it runs where the kernels' tests do.
Every operator is lowered for the target as the planner does it, with a random schedule where it has
several. General operators run in two parts every other time, as cores share them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinygen.emitter.cfile import ctype, numbers
from tinygen.lowering import Buffer, Names, Site, Slot, StepArgs
from tinygen.numeric import I8
from tinygen.operators import OPERATORS, Attention
from tinygen.operators.attention.schedule import AttentionSchedule, attention_schedules
from tinygen.operators.draw import Draw
from tinygen.operators.general import GeneralStep
from tinygen.operators.operator import Case
from tinygen.targets import Target

GUARD = 16
HEAD = f"""{{headers}}
#include "driver.h"

void *memcpy(void *to, const void *from, size_t size); /* string.h, which not all have */

enum {{{{ GUARD = {GUARD} }}}};

/* y with a guard before and behind it, filled with what no case leaves there. */
static int8_t *fresh(int32_t *out, int32_t size) {{{{
  uint8_t *y = (uint8_t *)out;
  for (int32_t i = 0; i < size + 2 * GUARD; i++)
    y[i] = 0x5A;
  return (int8_t *)y + GUARD;
}}}}

/* Working memory of exactly its size where sanitizers watch it. */
static inline uint8_t *room(uint8_t *arena, size_t at, size_t size) {{{{
#ifdef TG_HOST
  (void)arena, (void)at;
  return malloc(size);
#else
  (void)size;
  return arena + at;
#endif
}}}}

static inline void done(void *place) {{{{
#ifdef TG_HOST
  free(place);
#else
  (void)place;
#endif
}}}}

"""


@dataclass(frozen=True)
class Placed:
    """A case that is lowered."""

    case: Case
    args: StepArgs
    scratch: tuple[Buffer, ...]
    note: str
    want: I8


def many(target: Target, seed: int, each: int, grow: int = 1) -> list[Placed]:
    """Cases of every operator that runs."""
    draw = Draw(seed, grow)
    return [placed(target, draw, case) for case in drawn(draw, each)]


def drawn(draw: Draw, each: int) -> Iterator[Case]:
    """So many of every operator that runs, one after the other."""
    for maker in (o for o in OPERATORS if not o.is_view):
        for _ in range(each):
            yield maker.random(draw)


def placed(target: Target, draw: Draw, case: Case) -> Placed:
    site = site_of(target, case, schedule(target, draw, case))
    low, want = case.op.lower(site), wanted(case, site)
    note = f"{case.op.word} {site.inputs} {site.schedule or ''} {vars(case.op)}"
    return Placed(case, low.args, tuple(site.scratch), note, want)


def site_of(target: Target, case: Case, how: AttentionSchedule | None) -> Site:
    """Its inputs x0, x1 ... and its result y, in slots of these names."""
    shapes = tuple(x.shape for x in case.inputs)
    fault = case.op.fault(shapes)
    assert fault is None, f"{case.op}: {fault}"
    slots = tuple(Slot(f"x{i}") for i in range(len(shapes)))
    out = case.op.shape(shapes)
    return Site("case", 0, shapes, out, slots, Slot("y"), target, how, {}, [])


def wanted(case: Case, site: Site) -> I8:
    """The reference's result, in the shape that the operator says."""
    y = case.op.reference(case.inputs)
    assert y.shape == site.output
    return y


def schedule(target: Target, draw: Draw, case: Case) -> AttentionSchedule | None:
    """One of those that the planner may take."""
    if not isinstance(case.op, Attention):
        return None
    compact = target.compact() is not None and case.op.fusion == "unfused"
    widths = (False, True) if compact else (False,)
    every: list[AttentionSchedule] = list(
        attention_schedules(len(case.inputs[0]), None, None, widths)
    )
    found: AttentionSchedule = draw.one_of(every)
    return found


def array(name: str, values: NDArray[np.generic]) -> str:
    return f"static _Alignas(8) const {ctype(values)} {name}[] = {{{numbers(values)}}};\n"


def _words(case: Placed) -> int:
    """Of one answer."""
    return (case.want.size + 2 * GUARD + 3) // 4


def _statements(case: Placed, c: Names, parts: bool) -> Iterator[str]:
    args = case.args
    if not isinstance(args, GeneralStep) or not parts:
        yield args.call(c)
        return
    halves: tuple[Callable[[int], str], ...] = (
        lambda rows: f"0, {rows // 2}",
        lambda rows: f"{rows // 2}, {rows}",
    )
    for half in halves:
        yield from args.statements(c, c.place(args.scratch) if args.scratch else None, half)


def _function(i: int, case: Placed) -> str:
    ident = f"case_{i}"
    inputs = tuple(f"{ident}_x{k}" for k in range(len(case.case.inputs)))

    def place(slot: Slot | None) -> str:
        if slot is None:
            return "NULL"
        return f"({slot.buffer} + {slot.offset})" if slot.offset else slot.buffer

    c = Names(ident, inputs, "y", place, lambda role: f"{ident}_{role}")
    text = "".join(array(f"{ident}_{role}", a) for role, a in case.args.constants())
    text += "".join(map(array, inputs, case.case.inputs))
    text += case.args.blocks(c)
    rooms, at = "", 0
    for buffer in case.scratch:
        rooms += f"  uint8_t *{buffer.name} = room(arena, {at}, {buffer.size});\n"
        at += -(-buffer.size // 8) * 8
    ends = "".join(f"  done({buffer.name});\n" for buffer in case.scratch)
    body = "\n  ".join(_statements(case, c, i % 2 == 1))
    unused = "" if rooms else "  (void)arena;\n"
    head = f"static void run_{i}(int8_t *y, uint8_t *arena) {{\n"
    return f"{text}\n{head}{unused}{rooms}  {body}\n{ends}}}\n\n"


def program(cases: list[Placed]) -> str:
    """A C file."""
    headers = sorted({case.args.header for case in cases if case.args.header})
    runs = "".join(
        f"  run_{i}(fresh(out + at, {case.want.size}), arena);\n  at += {_words(case)};\n"
        for i, case in enumerate(cases)
    )
    return (
        HEAD.format(headers="".join(f'#include "tinygen/{h}"\n' for h in headers))
        + "".join(_function(i, case) for i, case in enumerate(cases))
        + "size_t run_cases(const int32_t *in, int32_t *out, uint8_t *arena) {\n"
        + "  (void)in;\n  size_t at = 0;\n"
        + runs
        + "  return 4 * at;\n}\n"
    )


def judge(cases: list[Placed], answers: bytes) -> None:
    """Every answer must be the reference's bit for bit, and its guards untouched."""
    at = 0
    for case in cases:
        size = case.want.size
        got = np.frombuffer(answers, np.int8, size + 2 * GUARD, at)
        at += 4 * _words(case)
        want = case.want.reshape(-1)
        wrong = np.flatnonzero(got[GUARD : GUARD + size] != want)
        assert not wrong.size, (
            f"{case.note}: {wrong.size} of {size} differ, first at {wrong[0]}: "
            f"{got[GUARD + wrong[0]]}, reference {want[wrong[0]]}"
        )
        guards = np.concatenate([got[:GUARD], got[GUARD + size :]])
        assert np.all(guards == 0x5A), f"{case.note}: wrote beside its result"
    assert at == len(answers)
