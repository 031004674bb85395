# SPDX-License-Identifier: Apache-2.0
"""C expressions of what a step reads and writes."""

from __future__ import annotations

from tinygen.emitter import cfile
from tinygen.emitter.weights import symbol
from tinygen.lowering import Names, Slot, Step
from tinygen.planner import plan as p


def names(plan: p.Plan, step: Step) -> Names:
    return Names(
        ident=cfile.identifier(step.name),
        inputs=tuple(s8(plan, slot) for slot in step.inputs),
        y=s8(plan, step.output),
        place=lambda slot: place(plan, slot),
        symbol=lambda role: symbol(plan, step, role),
        work=step.work,
        tiles=step.tiles,
    )


def place(plan: p.Plan, slot: Slot | None) -> str:
    """`uint8_t *` (arena) or `int8_t *` (the caller's)."""
    if slot is None:
        return "NULL"
    offset = slot.offset
    if slot.buffer in plan.callers:
        base = callers(plan, slot.buffer)
    else:
        region = cfile.identifier(plan.placement(slot.buffer).region)
        base = f"arena->{region} + {cfile.offset_name(plan.model, slot.buffer)}"
        return f"({base} + {offset})" if offset else f"({base})"
    return f"({base} + {offset})" if offset else base


def callers(plan: p.Plan, buffer: str) -> str:
    """A buffer that the caller of `<model>_run` passes."""
    if plan.single:
        return buffer
    end = plan.callers[buffer]
    return f"{'inputs' if end in plan.inputs else 'outputs'}->{end.word}"


def s8(plan: p.Plan, slot: Slot) -> str:
    """`int8_t *`."""
    here = place(plan, slot)
    return here if slot.buffer in plan.callers else f"(int8_t *){here}"
