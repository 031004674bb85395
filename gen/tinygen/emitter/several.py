# SPDX-License-Identifier: Apache-2.0
"""What the interface in C is called, for one input and one output, and for several: these are
passed as structs of pointers, or packed one after the other."""

from __future__ import annotations

from tinygen.planner import plan as p
from tinygen.planner.ends import End, total


def macro(plan: p.Plan, end: End, what: str = "") -> str:
    """<MODEL>_INPUT, or <MODEL>_<NAME>: the start of its macros. what: more, of several."""
    start = f"{plan.model.upper()}_{end.word.upper()}"
    return f"{start}_{what}" if what and not plan.single else start


def argmax(plan: p.Plan, end: End) -> str:
    return f"{plan.model}_argmax" if plan.single else f"{plan.model}_argmax_{end.word}"


def arguments(plan: p.Plan) -> str:
    """What `<model>_run` takes beside the arena."""
    if plan.single:
        return "const int8_t *input, int8_t *output"
    return f"const {plan.model}_inputs_t *inputs, const {plan.model}_outputs_t *outputs"


def sizes(plan: p.Plan) -> str:
    """Macros with the bytes of all ends."""
    up = plan.model.upper()
    whole = (
        f"#define {up}_INPUT_SIZE {total(plan.inputs)}\n"
        f"#define {up}_OUTPUT_SIZE {total(plan.outputs)}\n"
    )
    if plan.single:
        shapes = [list(ends[0].shape) for ends in (plan.inputs, plan.outputs)]
        return f"/* int8 {shapes[0]} -> int8 {shapes[1]} */\n{whole}"
    lines = []
    for way, ends in (("input", plan.inputs), ("output", plan.outputs)):
        for end in ends:
            lines.append(f"/* {way} {_comment(end.name)}: int8 {list(end.shape)} */\n")
            if end.word != way:  # else it is the only one, and has the macro of all
                lines.append(f"#define {macro(plan, end)}_SIZE {end.size}\n")
    return (
        "".join(lines)
        + f"/* All inputs, and all outputs, one after the other. */\n{whole}"
        + f"#define {up}_OUTPUTS {len(plan.outputs)}\n"
    )


def run(plan: p.Plan, reentrant: str) -> str:
    """The prototype of `<model>_run`, and what it takes."""
    m, up = plan.model, plan.model.upper()
    if plan.single:
        return (
            f"/* One inference. input: {up}_INPUT_SIZE bytes, kept; output: {up}_OUTPUT_SIZE bytes."
            f"\n * {reentrant} */\n"
            f"void {m}_run(const {m}_arena_t *arena, {arguments(plan)});\n"
        )
    given = "".join(
        f"  const int8_t *{e.word}; /* {macro(plan, e)}_SIZE bytes, kept */\n" for e in plan.inputs
    )
    got = "".join(f"  int8_t *{e.word}; /* {macro(plan, e)}_SIZE bytes */\n" for e in plan.outputs)
    return f"""/* What goes in and what comes out, in memory of yours. */
typedef struct {{
{given}}} {m}_inputs_t;

typedef struct {{
{got}}} {m}_outputs_t;

/* One inference. {reentrant} */
void {m}_run(const {m}_arena_t *arena, const {m}_inputs_t *inputs,
    const {m}_outputs_t *outputs);

/* The same with all inputs in one block, one after the other, and all outputs in another. */
void {m}_run_packed(const {m}_arena_t *arena, const int8_t *input, int8_t *output);

/* The answer of each output of such a block. */
void {m}_answers(const int8_t *output, int32_t answers[{up}_OUTPUTS]);
"""


def packed(plan: p.Plan) -> str:
    """`<model>_run_packed` and `<model>_answers`, where there are several ends."""
    if plan.single:
        return ""
    m, up = plan.model, plan.model.upper()
    given, got = (_members(plan, ends, way) for ends, way in _ways(plan))
    answers = "".join(
        f"  answers[{i}] = {argmax(plan, end)}({at});\n"
        for i, (end, at) in enumerate(_places(plan, plan.outputs, "output"))
    )
    return f"""
void {m}_run_packed(const {m}_arena_t *arena, const int8_t *input, int8_t *output) {{
  const {m}_inputs_t inputs = {{
{given}  }};
  const {m}_outputs_t outputs = {{
{got}  }};
  {m}_run(arena, &inputs, &outputs);
}}

void {m}_answers(const int8_t *output, int32_t answers[{up}_OUTPUTS]) {{
{answers}}}
"""


def _ways(plan: p.Plan) -> tuple[tuple[tuple[End, ...], str], ...]:
    return (plan.inputs, "input"), (plan.outputs, "output")


def _members(plan: p.Plan, ends: tuple[End, ...], way: str) -> str:
    return "".join(f"      .{end.word} = {at},\n" for end, at in _places(plan, ends, way))


def _places(plan: p.Plan, ends: tuple[End, ...], way: str) -> list[tuple[End, str]]:
    """Each end and where it lies in the block."""
    found, at = [], 0
    for end in ends:
        found.append((end, f"{way} + {at}" if at else way))
        at += end.size
    return found


def _comment(name: str) -> str:
    """A name of the model's file within a comment of C."""
    return name.replace("*/", "* /").replace("/*", "/ *")
