# SPDX-License-Identifier: Apache-2.0
"""Compile the emitted network with sanitizers and run it: what a schedule does to the bits."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np

from tinygen import reference
from tinygen.emitter import Samples, cfile, emit
from tinygen.graph import Graph
from tinygen.graph.packed import size_of_all
from tinygen.planner import Plan
from tinygen.resources import resource

MAIN = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "{header}"

int main(void) {{
  int wrong = 0;
  for (int i = 0; i < {M}_SAMPLES; i++) {{
    int8_t output[{M}_OUTPUT_SIZE];
    {m}_arena_t arena = {{{arenas}}};
{fill}{input}    {m}_run{packed}(&arena, input, output);
    wrong += memcmp(output, {m}_sample_outputs[i], sizeof output) != 0;
{free}  }}
  return wrong;
}}
"""

INPUT_IN_ARENA = """\
    int8_t *input = {M}_INPUT(&arena);
    memcpy(input, {m}_sample_inputs[i], {M}_INPUT_SIZE);
"""


def random_samples(graph: Graph, count: int) -> Samples:
    rng = np.random.default_rng(3)
    x = rng.integers(-128, 128, (count, size_of_all(graph, graph.input_values))).astype(np.int8)
    y = np.array([reference.run(graph, i).reshape(-1) for i in x])
    several = len(graph.inputs) + len(graph.outputs) > 2
    labels = np.full((count, len(graph.outputs)) if several else count, -1, np.int32)
    return Samples(x, y, labels)


def wrong_outputs(plan: Plan, samples: Samples, folder: Path) -> int:
    """Samples whose output differs, each run in a poisoned heap arena of just the planned size."""
    (folder / cfile.HEADERS).mkdir(parents=True)
    for name, text in emit(plan, samples).items():
        (folder / name).write_text(text)
    names = [r.name for r in plan.regions]
    main = MAIN.format(
        m=plan.model,
        packed="" if plan.single else "_packed",
        M=plan.model.upper(),
        header=cfile.header(plan.model, "samples"),
        arenas=", ".join(f".{r.name} = malloc({r.used})" for r in plan.regions) or ".none = 0",
        fill="".join(f"    memset(arena.{r.name}, 0x5a, {r.used});\n" for r in plan.regions),
        input=INPUT_IN_ARENA.format(m=plan.model, M=plan.model.upper())
        if any(q.buffer.name == "input" for q in plan.placements)
        else f"    const int8_t *input = {plan.model}_sample_inputs[i];\n",
        free="".join(f"    free(arena.{n});\n" for n in names),
    )
    (folder / "main.c").write_text(main)
    kernels = resource("kernels")
    files = [*folder.glob("*.c"), *(kernels / "src" / s for s in plan.sources)]
    command = [
        "cc", "-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-fno-sanitize-recover=all",
        "-fsanitize=address,undefined", f"-I{kernels / 'include'}", f"-I{kernels / 'src'}",
        f"-I{folder}",
        *map(str, files), "-o", str(folder / "net"),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    done = subprocess.run([str(folder / "net")], capture_output=True, text=True)
    assert not done.stderr, done.stderr
    return done.returncode
