# SPDX-License-Identifier: Apache-2.0
"""What a user's program calls beside <model>_run: <model>.h, conversions, the answer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinygen import __version__
from tinygen.emitter import cfile, several, staging
from tinygen.planner import plan as p
from tinygen.planner.ends import End
from tinygen.reference.decision import threshold_step


def helpers(plan: p.Plan) -> str:
    m, up = plan.model, plan.model.upper()
    layers = "".join(f'\n    "{s.name}",' for s in plan.steps)
    tables = "".join(_normalised(plan, end)[0] for end in plan.inputs)
    rounding = "".join(_quantise(plan, end) for end in plan.inputs)
    real = "".join(_dequantise(plan, end) for end in plan.outputs)
    answers = "\n\n".join(_answer(plan, end) for end in plan.outputs)
    return f"""{tables}
/* Round half to even without libm: adding 1.5 * 2^23 leaves no bits for a fraction. The clamp keeps
 * the sum in range; NaN becomes -128. */
{rounding}{real}{answers}
{several.packed(plan)}
const char {m}_model_hash[] = "{plan.model_hash}";
const char {m}_generator[] = "{__version__}";
const char *const {m}_layer_names[{up}_LAYERS] = {{{layers}
}};
"""


def _quantise(plan: p.Plan, end: End) -> str:
    macro = several.macro(plan, end)
    return f"""void {plan.model}_quantise_{end.word}(const float *x, int8_t *q) {{
  for (int32_t i = 0; i < {macro}_SIZE; i++) {{
    float v = {_normalised(plan, end)[1]} / {macro}_SCALE;
    v = v > -512.0f ? v : -512.0f;
    v = v < 512.0f ? v : 512.0f;
    volatile float shifted = v + 12582912.0f;
    const int32_t r = (int32_t)(shifted - 12582912.0f) + {macro}_ZERO_POINT;
    q[i] = (int8_t)(r < -128 ? -128 : r > 127 ? 127 : r);
  }}
}}

"""


def _dequantise(plan: p.Plan, end: End) -> str:
    macro = several.macro(plan, end)
    return f"""void {plan.model}_dequantise_{end.word}(const int8_t *y, float *out) {{
  for (int32_t i = 0; i < {macro}_SIZE; i++)
    out[i] = (float)(y[i] - {macro}_ZERO_POINT) * {macro}_SCALE;
}}

"""


def _answer_is(end: End) -> str:
    if end.size == 1:
        return f"1 where the one output is above {end.threshold:g}, else 0."
    return "Index of the largest output, the first of equals."


def _answer(plan: p.Plan, end: End) -> str:
    """<model>_argmax, of several outputs one each."""
    if end.size == 1:
        above = threshold_step(end.quant, end.threshold)
        body = f"  return y[0] > {above}; /* real: above {end.threshold:g} */\n"
    else:
        body = f"""  int32_t best = 0;
  for (int32_t i = 1; i < {several.macro(plan, end)}_SIZE; i++)
    if (y[i] > y[best])
      best = i;
  return best;
"""
    return f"int32_t {several.argmax(plan, end)}(const int8_t *y) {{\n{body}}}"


def _normalised(plan: p.Plan, end: End) -> tuple[str, str]:
    """(tables, expression): what the model does to element i of the input first."""
    how = end.normalisation
    if how is None:
        return "", "x[i]"
    both = np.stack([how.factor.reshape(-1), how.offset.reshape(-1)])
    size = both.shape[1]
    period = next(n for n in range(1, size + 1) if size % n == 0 and _repeats(both, n))
    rows = [", ".join(cfile.float_literal(float(v)) for v in row[:period]) for row in both]
    whose, prefix = ("its input", "") if plan.single else (end.name, f"{end.word}_")
    tables = (
        f"\n/* The model normalises {whose}: factor x + offset, each {period} "
        f"elements alike. */\n"
        f"static const float {prefix}factors[{period}] = {{{rows[0]}}};\n"
        f"static const float {prefix}offsets[{period}] = {{{rows[1]}}};\n"
    )
    real = f"(x[i] * {prefix}factors[i % {period}] + {prefix}offsets[i % {period}])"
    return cfile.wrap(tables), real


def _repeats(rows: NDArray[np.float32], period: int) -> bool:
    return bool(np.all(rows.reshape(2, -1, period) == rows[:, None, :period]))


def api_header(plan: p.Plan) -> str:
    """<model>.h: the generated library's public face."""
    m, up, guard = plan.model, plan.model.upper(), cfile.guard(plan.model)
    members = "".join(
        f"  uint8_t *{cfile.identifier(r.name)}; /* {r.used} bytes, 8-byte aligned */\n"
        for r in plan.regions
    )
    members = members or "  uint8_t *none; /* this network needs no working memory */\n"
    sizes = "".join(
        f"#define {up}_ARENA_{cfile.identifier(r.name).upper()}_BYTES {r.used}\n"
        for r in plan.regions
    )
    stack = ""
    if plan.footprint is not None:
        stack = (
            f"\n/* Stack that {m}_run takes at most, interrupts not counted: measured with\n"
            f" * {plan.footprint.compiler}. */\n"
            f"#define {up}_STACK_BYTES {plan.footprint.stack}\n"
        )
    stored = "".join(_stored(plan, end) for end in plan.inputs)
    input_macro = "".join(_room(plan, end) for end in plan.inputs)
    reentrant = "Reentrant with an arena for each caller."
    if plan.staging is not None:
        reentrant = "Not reentrant: weights from L3 come to a buffer of which there is one."
    return (
        cfile.head(f"Public interface of the network {m}.", model=m)
        + f"""#ifndef {guard}
#define {guard}

#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

{several.sizes(plan)}#define {up}_LAYERS {len(plan.steps)}
#define {up}_ARENA_BYTES {plan.arena_bytes}
{sizes}#define {up}_CONST_BYTES {plan.const_bytes}
{stack}{stored}
/* real = scale * (q - zero point) */
{_grids(plan)}
/* Working memory, one pointer a memory region. Its contents between calls do not matter, so it may
 * be lent to others. {m}_arena is the static one. */
typedef struct {{
{members}}} {m}_arena_t;

extern const {m}_arena_t {m}_arena;
{input_macro}{staging.api(plan)}
{several.run(plan, reentrant)}{_prototypes(plan)}
extern const char {m}_model_hash[]; /* SHA-256 of the ONNX file */
extern const char {m}_generator[];  /* version of tinygen */
extern const char *const {m}_layer_names[{up}_LAYERS];

#ifdef __cplusplus
}}
#endif

#endif
"""
    )


def _grids(plan: p.Plan) -> str:
    return "".join(
        f"#define {several.macro(plan, end)}_SCALE {cfile.float_literal(end.quant.scale)}\n"
        f"#define {several.macro(plan, end)}_ZERO_POINT ({end.quant.zero_point})\n"
        for end in (*plan.inputs, *plan.outputs)
    )


def _stored(plan: p.Plan, end: End) -> str:
    """How an input is stored that the model does not take as real numbers."""
    name = "input" if plan.single else f"input {end.name}"
    here = (end.buffer, end.slot.buffer)  # a cluster reads its copy
    ids = any(s.args.ids and s.inputs[0].buffer in here for s in plan.steps)
    if end.integers == "uint8":
        text = f"The model's own {name} is uint8, each stored as (int8_t)(value - 128)."
    elif end.integers == "int8":
        text = f"The model's own {name} is int8: pass it as it is."
    elif ids:
        text = f"The {name} is token ids, each stored as (int8_t)(id - 128)."
    else:
        return ""
    return f"\n/* {text} */\n"


def _room(plan: p.Plan, end: End) -> str:
    """Where an input lies in the arena, if it does."""
    here = next((q for q in plan.placements if q.buffer.name == end.buffer), None)
    if here is None:
        return ""
    at = f"(arena)->{cfile.identifier(here.region)} + {here.offset}"
    m = plan.model
    what = "the input" if plan.single else f"the input {end.name}"
    return f"""
/* Room for {what} in the arena: write it there and pass it to {m}_run, which overwrites it. */
#define {several.macro(plan, end, "INPUT")}(arena) ((int8_t *)({at}))
"""


def _prototypes(plan: p.Plan) -> str:
    """Of conversions and answers."""
    m = plan.model
    rounding = "".join(
        f"void {m}_quantise_{end.word}(const float *x, int8_t *q);\n" for end in plan.inputs
    )
    real = "".join(
        f"void {m}_dequantise_{end.word}(const int8_t *y, float *out);\n" for end in plan.outputs
    )
    answers = "".join(
        f"\n/* {_answer_is(end)} */\nint32_t {several.argmax(plan, end)}(const int8_t *y);\n"
        for end in plan.outputs
    )
    return f"""
/* float -> int8, rounding half to even, saturating. */
{rounding}
/* int8 -> float. */
{real}{answers}"""
