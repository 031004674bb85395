# SPDX-License-Identifier: Apache-2.0
"""<model>.c for a cluster: every core runs the same schedule, and the operators share themselves
out."""

from __future__ import annotations

import math

from tinygen.emitter import cfile, operators, staging
from tinygen.emitter.network import _helpers, _place, _s8, _struct, general_headers
from tinygen.emitter.weights import symbol
from tinygen.graph.operator import Operator
from tinygen.planner import plan as p
from tinygen.planner.cluster import INPUT_COPY, OUTPUT_COPY, align8
from tinygen.planner.schedule import FEW


def cluster_source(plan: p.Plan) -> str:
    m, up = plan.model, plan.model.upper()
    structs = "".join(_struct(plan, step) for step in plan.steps)
    load = _move(plan, INPUT_COPY, f"tg_cluster_load({{}}, call->input, {up}_INPUT_SIZE);")
    body, extra, jobs = _body(plan), "", ""
    const = "const "
    if plan.staging is not None:
        const, jobs = "", f"  tg_l3_t jobs[{plan.staging.slots}];\n"
        extra = '#include "tinygen/stage.h"\n'
        load = "".join(staging.load(plan, i) for i in range(plan.staging.slots)) + load
    copy = "#include <string.h>\n" if "memcpy(" in body else ""
    store = _move(plan, OUTPUT_COPY, f"tg_cluster_store(call->output, {{}}, {up}_OUTPUT_SIZE);")
    if not store:
        place = _place(plan, plan.steps[-1].output)
        store = f"  tg_cluster_store(call->output, {place}, {up}_OUTPUT_SIZE);\n"
    store += _mark(len(plan.steps) - 1)  # with the output on its way, as the first has the input
    return (
        cfile.head(f"The network {m}, {len(plan.steps)} layers, on many cores.", model=m)
        + cfile.own_headers(m)
        + '#include "tinygen/cluster.h"\n'
        + "".join(f'#include "tinygen/{h}"\n' for h in sorted(general_headers(plan)))
        + f'#include "tinygen/profile.h"\n{extra}#include "tinygen/team.h"\n{copy}\n'
        + f"#ifndef {up}_CORES\n#define {up}_CORES {plan.board.core.count}\n#endif\n"
        + f"_Static_assert({up}_CORES >= 1 && {up}_CORES <= {plan.board.core.count},\n"
        + f'    "the arena is planned for {plan.board.core.count} cores at most");\n\n'
        + structs
        + f"""
typedef struct {{
  const {m}_arena_t *arena;
  const int8_t *input;
  int8_t *output;
{jobs}}} call_t;

/* On every core. */
static void run(void *argument) {{
  {const}call_t *call = argument;
  const {m}_arena_t *arena = call->arena;
  if (tg_team_core() == 0)
    TG_PROFILE_START();
{load}{body}{store}}}

void {m}_run(const {m}_arena_t *arena, const int8_t *input, int8_t *output) {{
  call_t call = {{.arena = arena, .input = input, .output = output}};
  tg_team_fork({up}_CORES, run, &call);
}}
"""
        + staging.open_function(plan)
        + _helpers(plan)
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


def _move(plan: p.Plan, buffer: str, code: str) -> str:
    if not any(q.buffer.name == buffer for q in plan.placements):
        return ""
    return "  " + code.format(_place(plan, p.Slot(buffer))) + "\n"


def _call(plan: p.Plan, index: int, step: p.Step) -> str:
    x, y = _s8(plan, step.inputs[0]), _s8(plan, step.output)
    ident, work = cfile.identifier(step.name), _place(plan, step.work)
    a = step.args
    match a:
        case p.LinearStep():
            code = (
                f"tg_cluster_{a.function}_s8(&{ident}, {x}, {a.rows}, {y}, {step.tiles}, {work});"
            )
        case p.ConvStep():
            code = f"tg_cluster_conv_s8(&{ident}, {x}, {y}, {work});"
        case p.AttentionStep() if a.schedule == FEW:
            how = "few_fused" if a.projections < 3 else "few"
            code = f"tg_cluster_attention_{how}_s8(&{ident}, {x}, {a.tokens}, {y}, {work});"
        case p.AttentionStep():
            heads = a.schedule.kind == "heads-to-cores"
            how = "fused_" if a.projections < 3 else ""
            how += ("heads" if heads else "rows") + ("_levels" if a.levels else "")
            context = f"(int8_t *){_place(plan, a.slots.context)}"
            last = int(a.ahead) if heads else a.schedule.teams
            code = (
                f"tg_cluster_attention_{how}_s8(&{ident}, {x}, {a.tokens}, {context}, {y}, "
                f"{step.tiles}, {last}, {work});"
            )
        case p.DotProductStep():
            k, v = (_s8(plan, slot) for slot in step.inputs[1:])
            rows = f"{a.rows}, {a.keys}"
            code = f"tg_cluster_{step.op}_s8(&{ident}, {x}, {k}, {v}, {rows}, {y}, {work});"
        case p.NormStep():
            code = f"tg_cluster_{a.function}_s8(&{ident}, {x}, {a.rows}, {y}, {work});"
        case p.AddStep() if a.other is not None:
            other, kind = symbol(plan, step, "other"), f"int{8 * a.other.itemsize}_t"
            code = (
                f"tg_cluster_load({work}, {other}, {a.other.nbytes});\n"
                f"  tg_cluster_{a.function}_s8(&{ident}, {x}, ({kind} *){work}, {a.count}, {y});"
            )
        case p.AddStep():
            b = _s8(plan, step.inputs[1])
            code = f"tg_cluster_add_s8(&{ident}, {x}, {b}, {a.count}, {y});"
        case p.LutStep():
            code = f"tg_cluster_lut_s8({symbol(plan, step, 'table')}, {x}, {a.count}, {y}, {work});"
        case p.MeanStep():
            code = f"tg_cluster_mean_s8(&{ident}, {x}, {a.rows}, {a.features}, {y});"
        case p.MaxStep():
            code = f"tg_cluster_max_s8(&{ident}, {x}, {math.prod(a.out)}, {y});"
        case p.EmbedStep():
            table, (count, width) = symbol(plan, step, "table"), a.table.shape
            code = f"tg_cluster_embed_s8({table}, {count}, {width}, {x}, {a.rows}, {y});"
        case p.OperatorStep(op=op):
            code = _operator(plan, step, op, y)
        case p.CopyStep():
            code = f"tg_cluster_load({y}, {symbol(plan, step, 'rows')}, {a.rows.size});"
            if a.copy_bytes:
                code += (
                    f"\n  if (tg_team_core() == 0)\n"
                    f"    memcpy({y} + {a.rows.size}, {x}, {a.copy_bytes});\n  tg_team_barrier();"
                )
    note = f": {step.schedule}" if step.schedule else ""
    mark = _mark(index) if index < len(plan.steps) - 1 else ""
    return f"\n  /* {step.name} ({step.op}){note} */\n  {code}\n{mark}"


def _operator(plan: p.Plan, step: p.Step, op: Operator, y: str) -> str:
    """Every core takes its share of the rows, then all wait for each other."""
    size, scratch = align8(op.scratch()), None
    if step.work is not None:
        scratch = f"{_place(plan, step.work)} + tg_team_core() * {size}"
    names = operators.Names(tuple(_s8(plan, s) for s in step.inputs), y, scratch)
    lines = operators.calls(op, cfile.identifier(step.name), names, _share)
    return "\n  ".join([*lines, "tg_team_barrier();"])


def _share(rows: int) -> str:
    """Of the core that runs this: "first, last"."""
    core, cores = "tg_team_core()", "tg_team_cores()"
    return f"{rows} * {core} / {cores}, {rows} * ({core} + 1) / {cores}"


def _mark(layer: int) -> str:
    return f"  if (tg_team_core() == 0)\n    TG_PROFILE_LAYER({layer});\n"
