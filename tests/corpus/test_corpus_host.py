# SPDX-License-Identifier: Apache-2.0
"""Every supported model of the corpus, compiled for the host, gives the reference's bits."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from corpus.test_corpus import SUPPORTED, data, imported
from tinygen import reference
from tinygen.boards import load_board
from tinygen.emitter import Samples, cfile, emit
from tinygen.planner import make_plan
from tinygen.resources import resource

BATCH, SAMPLES = 12, 8
CHECK = """
static int check_{m}(void) {{
  int wrong = 0;
  for (int i = 0; i < {M}_SAMPLES; i++) {{
    int8_t output[{M}_OUTPUT_SIZE];
    {m}_run(&{m}_arena, {m}_sample_inputs[i], output);
    wrong += memcmp(output, {m}_sample_outputs[i], sizeof output) != 0;
  }}
  return wrong;
}}
"""


def program(names: list[str], folder: Path) -> list[str]:
    """One program of many models; it prints each with its number of wrong samples."""
    kernels = resource("kernels")
    board = load_board("host")
    sources: set[Path] = set()
    includes, checks, calls = [], [], []
    (folder / cfile.HEADERS).mkdir()
    for name in names:
        graph = replace(imported(name), name=name.replace("-", "_"))
        x = [reference.quantise(graph, s) for s in data(name)["x"][:SAMPLES]]
        y = np.array([reference.run(graph, i).reshape(-1) for i in x])
        flat = np.array(x).reshape(len(x), -1)
        plan = make_plan(graph, board)
        for file, text in emit(plan, Samples(flat, y, np.full(len(x), -1, np.int32))).items():
            (folder / file).write_text(text)
        sources |= {kernels / "src" / s for s in plan.sources}
        m = plan.model
        includes.append(f'#include "{cfile.header(m, "samples")}"\n')
        checks.append(CHECK.format(m=m, M=m.upper()))
        calls.append(f'  printf("{name} %d\\n", check_{m}());\n')
    main = "#include <stdio.h>\n#include <string.h>\n" + "".join(includes) + "".join(checks)
    (folder / "main.c").write_text(main + "int main(void) {\n" + "".join(calls) + "}\n")
    command = [
        "cc", "-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-fno-sanitize-recover=all",
        "-fsanitize=undefined", f"-I{kernels / 'include'}", f"-I{kernels / 'src'}", f"-I{folder}",
        *map(str, (*sorted(folder.glob("*.c")), *sorted(sources))), "-o", str(folder / "all"),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    done = subprocess.run([str(folder / "all")], capture_output=True, text=True, check=True)
    return done.stdout.split("\n")[:-1]


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, len(SUPPORTED), BATCH))
def test_bit_equal_on_the_host(start: int, tmp_path: Path) -> None:
    names = SUPPORTED[start : start + BATCH]
    assert program(names, tmp_path) == [f"{n} 0" for n in names]
