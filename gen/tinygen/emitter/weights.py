# SPDX-License-Identifier: Apache-2.0
"""<model>_weights.c/.h: every constant array of the plan."""

from __future__ import annotations

from tinygen.emitter import cfile
from tinygen.planner.constants import constants
from tinygen.planner.plan import Plan, Step


def symbol(plan: Plan, step: Step, role: str) -> str:
    return f"{plan.model}_{cfile.identifier(step.name)}_{role}"


def weights_source(plan: Plan) -> str:
    parts = [
        cfile.head("Packed weights, biases, multipliers and tables.", model=plan.model),
        f'#include "{plan.model}_weights.h"\n',
    ]
    for step in plan.steps:
        for role, array in constants(step):
            parts.append("\n" + cfile.const_array(symbol(plan, step, role), array))
    return "".join(parts)


def weights_header(plan: Plan) -> str:
    guard = f"{plan.model.upper()}_WEIGHTS_H"
    lines = [
        cfile.head(
            "Constants of the network, in the layouts that its kernels read.", model=plan.model
        ),
        f"#ifndef {guard}\n#define {guard}\n\n#include <stdint.h>\n\n",
    ]
    for step in plan.steps:
        for role, array in constants(step):
            lines.append(cfile.declaration(symbol(plan, step, role), array))
    lines.append("\n#endif\n")
    return "".join(lines)
