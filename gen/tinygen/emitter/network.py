# SPDX-License-Identifier: Apache-2.0
"""<model>.c: the schedule, one kernel call after the other."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tinygen import __version__
from tinygen.emitter import cfile, operators, staging
from tinygen.emitter.attention import Names, attention_calls
from tinygen.emitter.weights import symbol
from tinygen.planner import plan as p
from tinygen.reference.decision import threshold_step

_HEADERS = {
    "linear": "linear.h",
    "feed-forward": "linear.h",
    "conv": "conv.h",
    "attention": "attention.h",
    "dot_product_attention": "dot_product_attention.h",
    "layernorm": "layernorm.h",
    "add": "elementwise.h",
    "lut": "elementwise.h",
    "mean": "elementwise.h",
    "max": "elementwise.h",
    "embed": "elementwise.h",
}


def network_source(plan: p.Plan) -> str:
    """Parameter structs, then `<model>_run`, then the helpers of the API."""
    kinds = {_HEADERS[s.op] for s in plan.steps if s.op in _HEADERS}
    kinds |= general_headers(plan)
    includes = "".join(f'#include "tinygen/{h}"\n' for h in sorted(kinds | {"profile.h"}))
    uses_copy = any(isinstance(s.args, p.CopyStep) for s in plan.steps)
    includes += "#include <string.h>\n" if uses_copy else ""
    structs = "".join(_struct(plan, step) for step in plan.steps)
    body = "".join(_call(plan, i, step) for i, step in enumerate(plan.steps))
    unused = "" if plan.placements else "  (void)arena;\n"
    return (
        cfile.head(f"The network {plan.model}, {len(plan.steps)} layers.", model=plan.model)
        + cfile.own_headers(plan.model)
        + f"{includes}\n"
        + structs
        + f"\nvoid {plan.model}_run(const {plan.model}_arena_t *arena, const int8_t *input,\n"
        f"    int8_t *output) {{\n{unused}  TG_PROFILE_START();\n{body}}}\n" + _helpers(plan)
    )


def general_headers(plan: p.Plan) -> set[str]:
    return {s.args.op.header for s in plan.steps if isinstance(s.args, p.OperatorStep)}


# -- places -------------------------------------------------------------------------------------


def _place(plan: p.Plan, slot: p.Slot | None) -> str:
    """C expression, `uint8_t *` (arena) or `int8_t *` (the caller's)."""
    if slot is None:
        return "NULL"
    offset = slot.offset
    if slot.buffer in (p.INPUT, p.OUTPUT):
        base = slot.buffer
    else:
        region = cfile.identifier(plan.placement(slot.buffer).region)
        base = f"arena->{region} + {cfile.offset_name(plan.model, slot.buffer)}"
        return f"({base} + {offset})" if offset else f"({base})"
    return f"({base} + {offset})" if offset else base


def _s8(plan: p.Plan, slot: p.Slot) -> str:
    place = _place(plan, slot)
    if slot.buffer in (p.INPUT, p.OUTPUT):
        return place
    return f"(int8_t *){place}"


# -- parameters ---------------------------------------------------------------------------------


def _linear(plan: p.Plan, step: p.Step, prefix: str, a: p.LinearArgs) -> str:
    def name(role: str) -> str:
        return symbol(plan, step, prefix + role)

    if a.n == 0:
        return f"{{.k = {a.k}, .zp = {a.zp}}}"
    table = name("table") if a.table is not None else "NULL"
    apart = bool(a.packed.bias.size)
    bias, m = (name("bias"), name("m")) if apart else ("NULL", "NULL")
    form = f", .form = {a.packed.form}" if a.packed.form else ""
    return (
        f"{{.w = {name('w')}, .bias = {bias}, .m = {m}, .table = {table}, "
        f".k = {a.k}, .n = {a.n}, .s = {a.s}, .zp = {a.zp}{form}}}"
    )


def _struct(plan: p.Plan, step: p.Step) -> str:
    """The constant parameter block of one layer, or nothing."""
    ident = cfile.identifier(step.name)
    a = step.args
    match a:
        case p.LinearStep():
            return f"static const tg_linear_t {ident} = {_linear(plan, step, '', a.linear)};\n"
        case p.FeedForwardStep():
            return "".join(
                f"static const tg_linear_t {ident}_{which} = "
                f"{_linear(plan, step, which + '_', getattr(a, which))};\n"
                for which in ("up", "down")
            )
        case p.ConvStep():
            (kh, kw), (sh, sw), (dh, dw) = a.kernel, a.stride, a.dilation
            return (
                f"static const tg_conv_t {ident} = {{.linear = "
                f"{_linear(plan, step, '', a.linear)}, .channels = {a.channels}, "
                f".height = {a.height}, .width = {a.width}, .kernel_h = {kh}, .kernel_w = {kw}, "
                f".stride_h = {sh}, .stride_w = {sw}, .dilation_h = {dh}, .dilation_w = {dw}, "
                f".pad_top = {a.pads[0]}, .pad_left = {a.pads[1]}, .out_h = {a.out[0]}, "
                f".out_w = {a.out[1]}, .groups = {a.groups}, .x_zp = {a.x_zp}, "
                f".x_stride_c = {a.x_strides[0]}, .x_stride_h = {a.x_strides[1]}, "
                f".x_stride_w = {a.x_strides[2]}}};\n"
            )
        case p.AttentionStep():
            parts = ", ".join(
                f".{w} = {_linear(plan, step, w + '_', getattr(a, w))}" for w in "qkvo"
            )
            c = a.context
            return (
                f"static const tg_attention_t {ident} = {{{parts}, .heads = {a.heads}, "
                f".dim = {a.dim}, .value_dim = {a.value_dim}, .score_m = {a.score_m}, "
                f".score_s = {a.score_s}, .score_zp = {a.score_zp}, "
                f".exp_table = {symbol(plan, step, 'exp')}, "
                f".context_mult = {c.mult}, .context_frac = {c.frac}, .context_s = {c.s}, "
                f".context_offset = {c.offset}"
                f"{f', .levels = {a.levels}, .levels_up = {a.levels_up}' if a.levels else ''}}};\n"
            )
        case p.DotProductStep(op=op):
            c, to = op.context, op.steps
            masked = f", .mask = {symbol(plan, step, 'mask')}" if a.mask is not None else ""
            if a.mask is not None and len(a.mask) > 1:
                masked += f", .mask_stride = {a.mask.shape[1]}"
            coarse = f", .total = {to.total}, .up = {to.up}, .most = {to.most}" if to else ""
            return (
                f"static const tg_dot_product_attention_t {ident} = {{.heads = {op.heads}, "
                f".dim = {a.dim}, .q_zp = {op.q_zp}, .k_zp = {op.k_zp}, .v_zp = {op.v_zp}, "
                f".score_m = {op.score.m[0]}, .score_s = {op.score.s}, "
                f".score_zp = {op.score.zp}, .exp_table = {symbol(plan, step, 'exp')}, "
                f".context_mult = {c.mult}, .context_frac = {c.frac}, .context_s = {c.s}, "
                f".context_offset = {c.offset}{masked}{coarse}}};\n"
            )
        case p.NormStep():
            norm = (
                f"{{.gamma = {symbol(plan, step, 'gamma')}, .beta = {symbol(plan, step, 'beta')}, "
                f".eps = {a.eps}, .features = {len(a.gamma)}, .frac = {a.frac}, .s = {a.s}"
                f"{f', .x_zp = {a.x_zp}' if a.whole else ''}}}"
            )
            kind = "layernorm"
            if a.step:
                kind = "layernorm_steps"
                norm = f"{{.norm = {norm}, .step = {a.step}, .most = {a.most}}}"
            return f"static const tg_{kind}_t {ident} = {norm};\n"
        case p.AddStep():
            return (
                f"static const tg_add_t {ident} = {{.ma = {a.ma}, .mb = {a.mb}, .c = {a.c}, "
                f".s = {a.s}}};\n"
            )
        case p.MeanStep():
            return (
                f"static const tg_mean_t {ident} = {{.bias = {a.bias}, .m = {a.m}, .s = {a.s}, "
                f".zp = {a.zp}}};\n"
            )
        case p.OperatorStep(op=op):
            return operators.blocks(op, ident, lambda role: symbol(plan, step, role))
        case p.MaxStep():
            return (
                f"static const tg_max_t {ident} = {{.height = {a.size[0]}, .width = {a.size[1]}, "
                f".channels = {a.channels}, .kernel_h = {a.kernel[0]}, .kernel_w = {a.kernel[1]}, "
                f".stride_h = {a.stride[0]}, .stride_w = {a.stride[1]}, .pad_top = {a.pads[0]}, "
                f".pad_left = {a.pads[1]}, .out_w = {a.out[1]}}};\n"
            )
        case _:
            return ""


# -- calls --------------------------------------------------------------------------------------


def _call(plan: p.Plan, index: int, step: p.Step) -> str:
    x = _s8(plan, step.inputs[0])
    y = _s8(plan, step.output)
    ident = cfile.identifier(step.name)
    a = step.args
    match a:
        case p.LinearStep():
            scratch = _place(plan, a.scratch)
            k, n = a.linear.k, a.linear.n
            code = f"tg_linear_s8(&{ident}, {x}, {a.rows}, {k}, {y}, {n}, {scratch});"
        case p.FeedForwardStep():
            code = _feed_forward(plan, ident, a, x, y)
        case p.ConvStep():
            scratch = _place(plan, a.scratch)
            code = f"tg_conv_s8(&{ident}, {x}, {y}, {a.linear.n}, {scratch});"
        case p.AttentionStep():
            names = Names(ident, x, y, lambda slot: _place(plan, slot))
            code = attention_calls(a, names).rstrip().replace("\n", "\n  ")
        case p.DotProductStep():
            keys, values = (_s8(plan, slot) for slot in step.inputs[1:])
            code = (
                f"tg_{step.op}_s8(&{ident}, {x}, {keys}, {values}, 0, {a.rows}, {a.keys}, {y}, "
                f"{_place(plan, a.scratch)});"
            )
        case p.NormStep():
            e = len(a.gamma)
            code = f"tg_{a.function}_s8(&{ident}, {x}, {a.rows}, {e}, {y}, {e});"
        case p.AddStep():
            constant = a.other is not None
            b = symbol(plan, step, "other") if constant else _s8(plan, step.inputs[1])
            code = f"tg_{a.function}_s8(&{ident}, {x}, {b}, {a.count}, {y});"
        case p.LutStep():
            code = f"tg_lut_s8({symbol(plan, step, 'table')}, {x}, {a.count}, {y});"
        case p.MeanStep():
            code = f"tg_mean_s8(&{ident}, {x}, {a.rows}, {a.features}, {a.features}, {y});"
        case p.MaxStep():
            code = f"tg_max_s8(&{ident}, {x}, 0, {math.prod(a.out)}, {y});"
        case p.EmbedStep():
            table, (count, width) = symbol(plan, step, "table"), a.table.shape
            code = f"tg_embed_s8({table}, {count}, {width}, {x}, {a.rows}, {y});"
        case p.OperatorStep(op=op):
            room = _place(plan, a.scratch) if a.scratch else None
            places = operators.Names(tuple(_s8(plan, s) for s in step.inputs), y, room)
            code = "\n  ".join(operators.calls(op, ident, places, lambda rows: f"0, {rows}"))
        case p.CopyStep():
            code = f"memcpy({y}, {symbol(plan, step, 'rows')}, {a.rows.size});"
            if a.copy_bytes:
                code += f"\n  memcpy({y} + {a.rows.size}, {x}, {a.copy_bytes});"
    note = f": {step.schedule}" if step.schedule else ""
    return f"\n  /* {step.name} ({step.op}){note} */\n  {code}\n  TG_PROFILE_LAYER({index});\n"


def _feed_forward(plan: p.Plan, ident: str, a: p.FeedForwardStep, x: str, y: str) -> str:
    """A loop over blocks of rows."""
    block, left = a.schedule.row_block, f"{a.rows} - row"
    rows = str(block) if a.rows % block == 0 else "rows"
    define = f"    const int32_t rows = {left} < {block} ? {left} : {block};\n"
    hidden, scratch = f"(int8_t *){_place(plan, a.hidden)}", _place(plan, a.scratch)
    k, h, n = a.up.k, a.up.n, a.down.n
    up, down = f"&{ident}_up", f"&{ident}_down"
    return (
        f"for (int32_t row = 0; row < {a.rows}; row += {block}) {{\n"
        + (define if rows == "rows" else "")
        + f"    tg_linear_s8({up}, {x} + row * {k}, {rows}, {k}, {hidden}, {h}, {scratch});\n"
        f"    tg_linear_s8({down}, {hidden}, {rows}, {h}, {y} + row * {n}, {n}, {scratch});\n"
        "  }"
    )


# -- helpers of the API ---------------------------------------------------------------------------


def _helpers(plan: p.Plan) -> str:
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
    ids = any(isinstance(s.args, p.EmbedStep) and s.inputs[0].buffer == p.INPUT for s in plan.steps)
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
