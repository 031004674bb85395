# SPDX-License-Identifier: Apache-2.0
"""<model>.c for a cluster: every core runs the same schedule, and the operators share themselves
out."""

from __future__ import annotations

from tinygen.emitter import cfile, several, staging
from tinygen.emitter.api import helpers
from tinygen.emitter.network import blocks, comment
from tinygen.emitter.places import callers, names, place
from tinygen.lowering import Step
from tinygen.planner import plan as p


def cluster_source(plan: p.Plan) -> str:
    m, up = plan.model, plan.model.upper()
    load = "".join(
        f"  tg_cluster_load({place(plan, end.slot)}, call->{callers(plan, end.buffer)}, "
        f"{several.macro(plan, end)}_SIZE);\n"
        for end in plan.inputs
        if any(q.buffer.name == end.slot.buffer for q in plan.placements)
    )
    body, extra, jobs = _body(plan), "", ""
    const = "const "
    if plan.staging is not None:
        const, jobs = "", f"  tg_l3_t jobs[{plan.staging.slots}];\n"
        extra = '#include "tinygen/stage.h"\n'
        load = "".join(staging.load(plan, i) for i in range(plan.staging.slots)) + load
    first, last = several.arguments(plan).split(", ")
    members = ", ".join(f".{a} = {a}" for a in (x.split("*")[1] for x in (first, last)))
    copy = "#include <string.h>\n" if "memcpy(" in body else ""
    headers = {s.args.header for s in plan.steps if s.args.header}
    store = "".join(
        f"  tg_cluster_store(call->{callers(plan, end.buffer)}, {place(plan, end.slot)}, "
        f"{several.macro(plan, end)}_SIZE);\n"
        for end in plan.outputs
    )
    store += _mark(len(plan.steps) - 1)  # with the output on its way, as the first has the input
    return (
        cfile.head(f"The network {m}, {len(plan.steps)} layers, on many cores.", model=m)
        + cfile.own_headers(m)
        + '#include "tinygen/cluster.h"\n'
        + "".join(f'#include "tinygen/{h}"\n' for h in sorted(headers))
        + f'#include "tinygen/profile.h"\n{extra}#include "tinygen/team.h"\n{copy}\n'
        + f"#ifndef {up}_CORES\n#define {up}_CORES {plan.board.core.count}\n#endif\n"
        + f"_Static_assert({up}_CORES >= 1 && {up}_CORES <= {plan.board.core.count},\n"
        + f'    "the arena is planned for {plan.board.core.count} cores at most");\n\n'
        + blocks(plan)
        + f"""
typedef struct {{
  const {m}_arena_t *arena;
  {first};
  {last};
{jobs}}} call_t;

/* On every core. */
static void run(void *argument) {{
  {const}call_t *call = argument;
  const {m}_arena_t *arena = call->arena;
  if (tg_team_core() == 0)
    TG_PROFILE_START();
{load}{body}{store}}}

void {m}_run(const {m}_arena_t *arena, {first}, {last}) {{
  call_t call = {{.arena = arena, {members}}};
  tg_team_fork({up}_CORES, run, &call);
}}
"""
        + staging.open_function(plan)
        + helpers(plan)
    )


def _body(plan: p.Plan) -> str:
    """Every layer; those in L3 wait for their constants, and leave their slot to the next."""
    turns = {s.step: i for i, s in enumerate(plan.staging.layers)} if plan.staging else {}
    code = []
    for i, step in enumerate(plan.steps):
        call = _call(plan, i, step)
        turn = turns.get(step.name)
        if turn is not None and plan.staging is not None:
            call = call.replace(" */\n", f" */\n{staging.wait(plan, turn)}", 1)
            call += staging.load(plan, turn + plan.staging.slots)
        code.append(call)
    return "".join(code)


def _call(plan: p.Plan, index: int, step: Step) -> str:
    code = step.args.shared_call(names(plan, step))
    mark = _mark(index) if index < len(plan.steps) - 1 else ""
    return f"{comment(step)}  {code}\n{mark}"


def _mark(layer: int) -> str:
    return f"  if (tg_team_core() == 0)\n    TG_PROFILE_LAYER({layer});\n"
