# SPDX-License-Identifier: Apache-2.0
"""<model>_arena.c/.h: the static arena, one array a region, and its map."""

from __future__ import annotations

from tinygen.emitter import cfile
from tinygen.lowering import TICKS, Buffer
from tinygen.planner.plan import Plan


def arena_header(plan: Plan) -> str:
    """Offsets of every buffer, for debuggers and people."""
    guard = cfile.guard(plan.model, "arena")
    ordered = sorted(plan.placements, key=lambda p: (p.region, p.offset, p.buffer.first))
    rows = "".join(
        f"  {cfile.offset_name(plan.model, p.buffer.name)} = {p.offset}, "
        f"/* {p.region}, {p.buffer.size} bytes, {_life(plan, p.buffer)} */\n"
        for p in ordered
    )
    offsets = f"\n/* Offset of each buffer in its region. */\nenum {{\n{rows}}};\n" if rows else ""
    sections = "".join(
        f"\n#ifndef {macro}\n#define {macro}{attribute}\n#endif\n"
        for macro, attribute in (
            (
                _macro(plan, r.name),
                f' __attribute__((section("{r.section}")))' if r.section else "",
            )
            for r in plan.regions
        )
    )
    return (
        cfile.head(
            "Where the buffers of the arena lie (buffers that share bytes are never",
            model=plan.model,
        ).replace("never\n", "never alive together).\n")
        + f"#ifndef {guard}\n#define {guard}\n{offsets}"
        + "\n/* Where each region's array goes; define one yourself to move it. */"
        + sections
        + "\n#endif\n"
    )


def arena_source(plan: Plan) -> str:
    m, up = plan.model, plan.model.upper()
    arrays, fields = [], []
    for r in plan.regions:
        ident = cfile.identifier(r.name)
        size = f"{up}_ARENA_{ident.upper()}_BYTES"
        arrays.append(
            f'_Static_assert({size} <= {r.size}, "{r.name} has no room for the arena");\n'
            f"static _Alignas(8) uint8_t {m}_arena_{ident}[{size}] {_macro(plan, r.name)};\n"
        )
        fields.append(f".{ident} = {m}_arena_{ident}")
    return (
        cfile.head("The static arena.", model=m)
        + f'#include "{cfile.header(m)}"\n#include "{cfile.header(m, "arena")}"\n\n'
        + "".join(arrays)
        + f"\nconst {m}_arena_t {m}_arena = {{{', '.join(fields) or '.none = 0'}}};\n"
    )


def _life(plan: Plan, buffer: Buffer) -> str:
    first, last = (plan.steps[tick // TICKS].name for tick in (buffer.first, buffer.last))
    return f"in {first}" if first == last else f"from {first} to {last}"


def _macro(plan: Plan, region: str) -> str:
    return f"{plan.model.upper()}_IN_{cfile.identifier(region).upper()}"
