# SPDX-License-Identifier: Apache-2.0
"""Constants in L3: the file that fills it, places in the staging buffer, and transfers."""

from __future__ import annotations

from collections.abc import Iterator

from tinygen.lowering import Constant, Step
from tinygen.planner import l3
from tinygen.planner import plan as p


def file_name(plan: p.Plan) -> str:
    return f"{plan.model}_l3.bin"


def buffer(plan: p.Plan) -> str:
    """C name of the staging buffer."""
    return f"{plan.model}_stage"


def staged(plan: p.Plan) -> dict[str, p.Staged]:
    return {s.step: s for s in plan.staging.layers} if plan.staging else {}


def places(step: Step) -> Iterator[tuple[int, Constant]]:
    """Offset of every array in the layer's block."""
    at = 0
    for role, array in step.args.constants():
        yield at, (role, array)
        at += l3.align(array.nbytes)


def l3_image(plan: p.Plan) -> bytes:
    """What L3 holds: the layers' blocks, little-endian."""
    image = bytearray(plan.staging.l3_bytes if plan.staging else 0)
    where = staged(plan)
    for step in plan.steps:
        if step.name in where:
            for at, (_, array) in places(step):
                start = where[step.name].at + at
                data = array.astype(array.dtype.newbyteorder("<")).tobytes()
                image[start : start + len(data)] = data
    return bytes(image)


def declarations(plan: p.Plan) -> str:
    """Of the buffer, in <model>_weights.h."""
    if plan.staging is None:
        return ""
    size = f"{plan.model.upper()}_STAGE_BYTES"
    return (
        f"/* Constants of the layers whose names below are macros come here from L3. */\n"
        f"#define {size} {plan.staging.size}\nextern uint8_t {buffer(plan)}[{size}];\n\n"
    )


def definition(plan: p.Plan) -> str:
    if plan.staging is None:
        return ""
    return f"\n_Alignas(8) uint8_t {buffer(plan)}[{plan.model.upper()}_STAGE_BYTES];\n"


def define(plan: p.Plan, symbol: str, ctype: str, offset: int) -> str:
    """An array's name, for its place in the buffer."""
    return f"#define {symbol} ((const {ctype} *)(void *)({buffer(plan)} + {offset}))\n"


def load(plan: p.Plan, turn: int) -> str:
    """Start the transfer of layer `turn` of those in L3, if there is one."""
    stage = plan.staging
    if stage is None or turn >= len(stage.layers):
        return ""
    layer = stage.layers[turn]
    to = buffer(plan) + (f" + {layer.offset}" if layer.offset else "")
    return (
        f"  tg_cluster_stage(&call->jobs[{turn % stage.slots}], {to}, "
        f"{layer.at}, {layer.size}); /* of {layer.step} */\n"
    )


def wait(plan: p.Plan, turn: int) -> str:
    assert plan.staging
    return f"  tg_cluster_staged(&call->jobs[{turn % plan.staging.slots}]);\n"


def open_function(plan: p.Plan) -> str:
    """<model>_open."""
    if plan.staging is None:
        return ""
    up = plan.model.upper()
    return f"""
int32_t {plan.model}_open(void) {{
  return tg_l3_open({up}_L3_FILE, {up}_L3_BYTES, {buffer(plan)}, {up}_STAGE_BYTES);
}}
"""


def api(plan: p.Plan) -> str:
    """In <model>.h."""
    if plan.staging is None:
        return ""
    up = plan.model.upper()
    return f"""
/* Weights beyond L2 lie in L3. {plan.model}_open opens it and fills it from this file: call it once
 * before the first inference, on the fabric controller. Returns 0, or another number if the file or
 * the memory is missing. */
#define {up}_L3_FILE "{file_name(plan)}"
#define {up}_L3_BYTES {plan.staging.l3_bytes}
int32_t {plan.model}_open(void);
"""
