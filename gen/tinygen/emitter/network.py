# SPDX-License-Identifier: Apache-2.0
"""<model>.c of one core: the schedule, one kernel call after the other."""

from __future__ import annotations

from tinygen.emitter import cfile, several
from tinygen.emitter.api import helpers
from tinygen.emitter.places import callers, names, place
from tinygen.lowering import Slot, Step
from tinygen.planner import plan as p


def network_source(plan: p.Plan) -> str:
    """Parameter structs, then `<model>_run`, then the helpers of the API."""
    headers = {s.args.header for s in plan.steps if s.args.header} | {"profile.h"}
    includes = "".join(f'#include "tinygen/{h}"\n' for h in sorted(headers))
    libc = {h for s in plan.steps for h in s.args.includes}
    includes += "".join(f"#include <{h}>\n" for h in sorted(libc))
    body = "".join(_call(plan, i, step) for i, step in enumerate(plan.steps))
    copies = _copies(plan)
    if copies and "#include <string.h>" not in includes:
        includes += "#include <string.h>\n"
    unused = "" if plan.placements else "  (void)arena;\n"
    return (
        cfile.head(f"The network {plan.model}, {len(plan.steps)} layers.", model=plan.model)
        + cfile.own_headers(plan.model)
        + f"{includes}\n"
        + blocks(plan)
        + f"\nvoid {plan.model}_run(const {plan.model}_arena_t *arena, {_broken(plan)}) {{\n"
        + f"{unused}  TG_PROFILE_START();\n{body}{copies}}}\n"
        + helpers(plan)
    )


def _broken(plan: p.Plan) -> str:
    """The further parameters of `<model>_run`, the last on a line of its own."""
    first, last = several.arguments(plan).split(", ")
    return f"{first},\n    {last}"


def _copies(plan: p.Plan) -> str:
    """Outputs that lie elsewhere: parts of a tensor, and those that another output is too."""
    return "".join(
        f"  memcpy({callers(plan, end.buffer)}, {place(plan, end.slot)}, "
        f"{several.macro(plan, end)}_SIZE);\n"
        for end in plan.outputs
        if end.slot != Slot(end.buffer)
    )


def blocks(plan: p.Plan) -> str:
    """The constant parameter blocks of all layers."""
    return "".join(step.args.blocks(names(plan, step)) for step in plan.steps)


def comment(step: Step) -> str:
    note = f": {step.schedule}" if step.schedule else ""
    return f"\n  /* {step.name} ({step.op}){note} */\n"


def _call(plan: p.Plan, index: int, step: Step) -> str:
    code = step.args.call(names(plan, step))
    return f"{comment(step)}  {code}\n  TG_PROFILE_LAYER({index});\n"
