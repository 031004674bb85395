# SPDX-License-Identifier: Apache-2.0
"""The same random operators on a cluster, whose cores are threads of this computer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from operator_program import array, drawn, site_of, wanted

from tinygen.lowering import Buffer, Cores, Lowered, Names, Slot
from tinygen.numeric import I8
from tinygen.operators import Attention
from tinygen.operators.attention.cluster import ways
from tinygen.operators.draw import Draw
from tinygen.operators.operator import Case
from tinygen.targets import Target

HEAD = """#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tinygen/cluster.h"
#include "tinygen/team.h"
{headers}
enum {{ GUARD = 64 }};

static int8_t *fresh(size_t size) {{
  int8_t *y = malloc(size + 2 * GUARD);
  memset(y, 0x5A, size + 2 * GUARD);
  return y + GUARD;
}}

/* 0 if y is as promised and nothing beside it was written. */
static int wrong(const char *name, int8_t *y, const int8_t *want, size_t size) {{
  int bad = memcmp(y, want, size) != 0;
  for (size_t i = 0; i < GUARD; i++)
    bad |= y[-1 - (ptrdiff_t)i] != 0x5A || y[size + i] != 0x5A;
  free(y - GUARD);
  if (bad)
    printf("%s\\n", name);
  return bad;
}}

"""


@dataclass(frozen=True)
class Shared:
    case: Case
    low: Lowered
    scratch: tuple[Buffer, ...]
    want: I8


def many(target: Target, seed: int, each: int, cores: int) -> list[Shared]:
    draw = Draw(seed)
    return [shared(target, draw, case, cores) for case in drawn(draw, each)]


def shared(target: Target, draw: Draw, case: Case, cores: int) -> Shared:
    how = None
    if isinstance(case.op, Attention):
        how = draw.one_of(ways(target, case.op, len(case.inputs[0]), cores))
    site = site_of(target, case, how)
    low = case.op.share(site, Cores(target, cores, bool(draw.integers(2))))
    return Shared(case, low, tuple(site.scratch), wanted(case, site))


def _place(slot: Slot | None) -> str:
    if slot is None:
        return "NULL"
    return f"(place->{slot.buffer} + {slot.offset})" if slot.offset else f"place->{slot.buffer}"


def _function(i: int, case: Shared) -> str:
    ident, args = f"case_{i}", case.low.args
    inputs = tuple(f"{ident}_x{k}" for k in range(len(case.case.inputs)))
    symbol = f"{ident}_{{}}".format
    c = Names(ident, inputs, "place->y", _place, symbol, case.low.work, case.low.tiles)
    text = "".join(array(symbol(role), a) for role, a in args.constants())
    text += "".join(map(array, inputs, case.case.inputs))
    text += array(symbol("want"), case.want.reshape(-1)) + args.blocks(c)
    fields = "".join(f"  uint8_t *{b.name};\n" for b in case.scratch)
    rooms = "".join(f"  place.{b.name} = malloc({b.size});\n" for b in case.scratch)
    ends = "".join(f"  free(place.{b.name});\n" for b in case.scratch)
    shapes = [x.shape for x in case.case.inputs]
    note = f"{case.case.op.word} {shapes} {case.low.schedule}, case {i}"
    return f"""{text}
typedef struct {{
  int8_t *y;
{fields}}} {ident}_t;

static void run_{i}(void *argument) {{
  {ident}_t *place = argument;
  {args.shared_call(c)}
}}

static int check_{i}(int32_t cores) {{
  {ident}_t place = {{.y = fresh({case.want.size})}};
{rooms}  tg_team_fork(cores, run_{i}, &place);
{ends}  return wrong("{note}", place.y, {ident}_want, {case.want.size});
}}

"""


def program(cases: list[Shared], cores: int) -> str:
    """A C file; its exit status is the number of cases that differ."""
    headers = sorted({case.low.args.header for case in cases if case.low.args.header})
    checks = "".join(f"  bad += check_{i}({cores});\n" for i in range(len(cases)))
    return (
        HEAD.format(headers="".join(f'#include "tinygen/{h}"\n' for h in headers))
        + "".join(_function(i, case) for i, case in enumerate(cases))
        + f"int main(void) {{\n  int bad = 0;\n{checks}  return bad;\n}}\n"
    )


def files(cases: list[Shared]) -> Iterator[str]:
    """C files under kernels/src, as the plan of a project lists them."""
    yield from sorted({f for case in cases for f in case.low.files})
    yield from ("cluster/copy.c", "runtime/team_threads.c", "runtime/dma_host.c")
