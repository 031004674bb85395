# SPDX-License-Identifier: Apache-2.0
"""What a user's program calls beside <model>_run: <model>.h, conversions, the answer."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tinygen import __version__
from tinygen.emitter import cfile, staging
from tinygen.planner import plan as p
from tinygen.reference.decision import threshold_step


def helpers(plan: p.Plan) -> str:
    m, up = plan.model, plan.model.upper()
    layers = "".join(f'\n    "{s.name}",' for s in plan.steps)
    tables, real = _normalised(plan)
    return f"""{tables}
/* Round half to even without libm: adding 1.5 * 2^23 leaves no bits for a fraction. The clamp keeps
 * the sum in range; NaN becomes -128. */
void {m}_quantise_input(const float *x, int8_t *q) {{
  for (int32_t i = 0; i < {up}_INPUT_SIZE; i++) {{
    float v = {real} / {up}_INPUT_SCALE;
    v = v > -512.0f ? v : -512.0f;
    v = v < 512.0f ? v : 512.0f;
    volatile float shifted = v + 12582912.0f;
    const int32_t r = (int32_t)(shifted - 12582912.0f) + {up}_INPUT_ZERO_POINT;
    q[i] = (int8_t)(r < -128 ? -128 : r > 127 ? 127 : r);
  }}
}}

void {m}_dequantise_output(const int8_t *y, float *out) {{
  for (int32_t i = 0; i < {up}_OUTPUT_SIZE; i++)
    out[i] = (float)(y[i] - {up}_OUTPUT_ZERO_POINT) * {up}_OUTPUT_SCALE;
}}

{_answer(plan)}

const char {m}_model_hash[] = "{plan.model_hash}";
const char {m}_generator[] = "{__version__}";
const char *const {m}_layer_names[{up}_LAYERS] = {{{layers}
}};
"""


def _answer_is(plan: p.Plan) -> str:
    if math.prod(plan.output_shape) == 1:
        return f"1 where the one output is above {plan.threshold:g}, else 0."
    return "Index of the largest output, the first of equals."


def _answer(plan: p.Plan) -> str:
    """<model>_argmax."""
    m, up = plan.model, plan.model.upper()
    if math.prod(plan.output_shape) == 1:
        above = threshold_step(plan.output_quant, plan.threshold)
        body = f"  return y[0] > {above}; /* real: above {plan.threshold:g} */\n"
    else:
        body = f"""  int32_t best = 0;
  for (int32_t i = 1; i < {up}_OUTPUT_SIZE; i++)
    if (y[i] > y[best])
      best = i;
  return best;
"""
    return f"int32_t {m}_argmax(const int8_t *y) {{\n{body}}}"


def _normalised(plan: p.Plan) -> tuple[str, str]:
    """(tables, expression): what the model does to element i of the input first."""
    how = plan.normalisation
    if how is None:
        return "", "x[i]"
    both = np.stack([how.factor.reshape(-1), how.offset.reshape(-1)])
    size = both.shape[1]
    period = next(n for n in range(1, size + 1) if size % n == 0 and _repeats(both, n))
    rows = [", ".join(cfile.float_literal(float(v)) for v in row[:period]) for row in both]
    tables = (
        f"\n/* The model normalises its input: factor x + offset, each {period} "
        f"elements alike. */\n"
        f"static const float factors[{period}] = {{{rows[0]}}};\n"
        f"static const float offsets[{period}] = {{{rows[1]}}};\n"
    )
    return cfile.wrap(tables), f"(x[i] * factors[i % {period}] + offsets[i % {period}])"


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
    qi, qo = plan.input_quant, plan.output_quant
    ids = any(s.args.ids and s.inputs[0].buffer == p.INPUT for s in plan.steps)
    stored = "\n/* The input is token ids, each stored as (int8_t)(id - 128). */\n" if ids else ""
    if plan.integer_input == "uint8":
        stored = "\n/* The model's own input is uint8, each stored as (int8_t)(value - 128). */\n"
    if plan.integer_input == "int8":
        stored = "\n/* The model's own input is int8: pass it as it is. */\n"
    here = next((q for q in plan.placements if q.buffer.name == p.INPUT), None)
    input_macro = ""
    if here is not None:
        at = f"(arena)->{cfile.identifier(here.region)} + {here.offset}"
        input_macro = f"""
/* Room for the input in the arena: write it there and pass it to {m}_run, which overwrites it. */
#define {up}_INPUT(arena) ((int8_t *)({at}))
"""
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

/* int8 {list(plan.input_shape)} -> int8 {list(plan.output_shape)} */
#define {up}_INPUT_SIZE {math.prod(plan.input_shape)}
#define {up}_OUTPUT_SIZE {math.prod(plan.output_shape)}
#define {up}_LAYERS {len(plan.steps)}
#define {up}_ARENA_BYTES {plan.arena_bytes}
{sizes}#define {up}_CONST_BYTES {plan.const_bytes}
{stack}{stored}
/* real = scale * (q - zero point) */
#define {up}_INPUT_SCALE {cfile.float_literal(qi.scale)}
#define {up}_INPUT_ZERO_POINT ({qi.zero_point})
#define {up}_OUTPUT_SCALE {cfile.float_literal(qo.scale)}
#define {up}_OUTPUT_ZERO_POINT ({qo.zero_point})

/* Working memory, one pointer a memory region. Its contents between calls do not matter, so it may
 * be lent to others. {m}_arena is the static one. */
typedef struct {{
{members}}} {m}_arena_t;

extern const {m}_arena_t {m}_arena;
{input_macro}{staging.api(plan)}
/* One inference. input: {up}_INPUT_SIZE bytes, kept; output: {up}_OUTPUT_SIZE bytes.
 * {reentrant} */
void {m}_run(const {m}_arena_t *arena, const int8_t *input, int8_t *output);

/* float -> int8, rounding half to even, saturating. */
void {m}_quantise_input(const float *x, int8_t *q);

/* int8 -> float. */
void {m}_dequantise_output(const int8_t *y, float *out);

/* {_answer_is(plan)} */
int32_t {m}_argmax(const int8_t *y);

extern const char {m}_model_hash[]; /* SHA-256 of the ONNX file */
extern const char {m}_generator[];  /* version of tinygen */
extern const char *const {m}_layer_names[{up}_LAYERS];

#ifdef __cplusplus
}}
#endif

#endif
"""
    )
