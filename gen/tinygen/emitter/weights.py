# SPDX-License-Identifier: Apache-2.0
"""<model>_weights.c/.h: every constant array of the plan."""

from __future__ import annotations

from tinygen.emitter import cfile, staging
from tinygen.lowering import Step
from tinygen.planner.plan import Plan


def symbol(plan: Plan, step: Step, role: str) -> str:
    return f"{plan.model}_{cfile.identifier(step.name)}_{role}"


def weights_source(plan: Plan) -> str:
    parts = [
        cfile.head("Packed weights, biases, multipliers and tables.", model=plan.model),
        f'#include "{cfile.header(plan.model, "weights")}"\n',
    ]
    beyond = staging.staged(plan)
    for step in plan.steps:
        for role, array in step.args.constants() if step.name not in beyond else ():
            parts.append("\n" + cfile.const_array(symbol(plan, step, role), array))
    parts.append(staging.definition(plan))
    return "".join(parts)


def weights_header(plan: Plan) -> str:
    guard = cfile.guard(plan.model, "weights")
    lines = [
        cfile.head(
            "Constants of the network, in the layouts that its kernels read.", model=plan.model
        ),
        f"#ifndef {guard}\n#define {guard}\n\n#include <stdint.h>\n\n",
        staging.declarations(plan),
    ]
    beyond = staging.staged(plan)
    for step in plan.steps:
        for at, (role, array) in staging.places(step):
            name = symbol(plan, step, role)
            if step.name in beyond:
                at += beyond[step.name].offset
                lines.append(staging.define(plan, name, cfile.ctype(array), at))
            else:
                lines.append(cfile.declaration(name, array))
    lines.append("\n#endif\n")
    return "".join(lines)
