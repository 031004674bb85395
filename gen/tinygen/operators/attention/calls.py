# SPDX-License-Identifier: Apache-2.0
"""The calls of one attention layer, in the order of its schedule."""

from __future__ import annotations

from tinygen.lowering import Names
from tinygen.lowering.names import indented
from tinygen.operators.attention.layer import Layer


def attention_calls(a: Layer, names: Names) -> str:
    loads = _loads(a, names)
    every = loads + _keys_values(a, names, "0", str(a.heads))
    match a.schedule.kind:
        case "whole":
            return every + _rows(a, names, str(a.tokens), None)
        case "depth-first":
            return every + _blocks(a, names, None)
        case "head-streaming":
            body = _keys_values(a, names, "h", "1") + _blocks(a, names, "h")
            loop = f"for (int32_t h = 0; h < {a.heads}; h++) {{\n{indented(body)}}}\n"
            return loads + loop + _finish(a, names)
        case other:
            raise AssertionError(f"{other} is a schedule of clusters")


def _loads(a: Layer, names: Names) -> str:
    """x itself as the keys or values of all heads."""
    return "".join(
        f"tg_attention_load_{which}_s8(&{names.ident}, {names.x}, {a.tokens}, {a.q.k}, "
        f"{names.place(slot)});\n"
        for which, linear, slot in (("k", a.k, a.slots.k), ("v", a.v, a.slots.v))
        if linear.n == 0
    )


def _keys_values(a: Layer, names: Names, head: str, heads: str) -> str:
    """Projections of heads [head, head + heads)."""
    return "".join(
        f"tg_attention_project_{which}{a.suffix}_s8(&{names.ident}, {names.x}, {a.tokens}, "
        f"{a.q.k}, {head}, {heads}, {names.place(slot)}, {names.place(a.slots.project_scratch)});\n"
        for which, linear, slot in (("k", a.k, a.slots.k), ("v", a.v, a.slots.v))
        if linear.n
    )


def _blocks(a: Layer, names: Names, head: str | None) -> str:
    """All query rows, a block at a time."""
    block = a.schedule.row_block
    if block >= a.tokens:
        return _rows(a, names, str(a.tokens), head)
    if a.tokens % block == 0:
        rows, define = str(block), ""
    else:
        left = f"{a.tokens} - row"
        rows, define = "rows", f"const int32_t rows = {left} < {block} ? {left} : {block};\n"
    body = define + _rows(a, names, rows, head, "row")
    return f"for (int32_t row = 0; row < {a.tokens}; row += {block}) {{\n{indented(body)}}}\n"


def _rows(a: Layer, names: Names, rows: str, head: str | None, row: str | None = None) -> str:
    """Query rows [row, row + rows) of one head, or of all."""
    s, place, op = a.slots, names.place, names.ident
    inner, n = a.heads * a.value_dim, a.o.n

    def at(base: str, width: int) -> str:
        return base if row is None else f"{base} + {row} * {width}"

    code = (
        f"tg_attention_project_q{a.suffix}_s8(&{op}, {at(names.x, a.q.k)}, {rows}, {a.q.k}, "
        f"{head or 0}, {1 if head else a.heads}, {place(s.q)}, {place(s.query_scratch)});\n"
    )
    if head is None:
        attend = (
            f"tg_attention_{a.attend}_s8(&{op}, "
            f"{place(s.q)} + (size_t)h * tg_attention_q{a.suffix}_bytes(&{op}, 1, {rows}), "
            f"{_head(place(s.k), a.head_stride_k)}, {_head(place(s.v), a.head_stride_v)}, {rows}, "
            f"{a.tokens}, (int8_t *){place(s.context)} + h * {a.value_dim}, {inner}, "
            f"{place(s.attend_scratch)});\n"
        )
        return (
            code
            + f"for (int32_t h = 0; h < {a.heads}; h++)\n{indented(attend)}"
            + f"tg_linear_s8(&{op}.o, (int8_t *){place(s.context)}, {rows}, {inner}, "
            f"{at(names.y, n)}, {n}, {place(s.output_scratch)});\n"
        )
    context, stride = f"(int8_t *){place(s.context)}", a.value_dim
    if s.sums is None:
        context, stride = f"{at(context, inner)} + {head} * {a.value_dim}", inner
    code += (
        f"tg_attention_{a.attend}_s8(&{op}, {place(s.q)}, {place(s.k)}, {place(s.v)}, "
        f"{rows}, {a.tokens}, {context}, {stride}, {place(s.attend_scratch)});\n"
    )
    if s.sums is not None:
        sums = at(f"(int32_t *){place(s.sums)}", n)
        code += (
            f"tg_attention_accumulate_s8(&{op}, {context}, {rows}, {stride}, {head}, {sums}, "
            f"{place(s.output_scratch)});\n"
        )
    return code


def _head(buffer: str, stride: int) -> str:
    """Of head h."""
    return f"{buffer} + h * {stride}" if stride else buffer


def _finish(a: Layer, names: Names) -> str:
    """What is left when all heads are through."""
    s, place, n = a.slots, names.place, a.o.n
    if s.sums is not None:
        return (
            f"tg_attention_requantise_s8(&{names.ident}, (int32_t *){place(s.sums)}, {a.tokens}, "
            f"{names.y}, {n});\n"
        )
    inner = a.heads * a.value_dim
    return (
        f"tg_linear_s8(&{names.ident}.o, (int8_t *){place(s.context)}, {a.tokens}, {inner}, "
        f"{names.y}, {n}, {place(s.output_scratch)});\n"
    )
