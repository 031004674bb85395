# SPDX-License-Identifier: Apache-2.0
"""A project from templates/baremetal around the toy model in fake/: what `tinygen new` makes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygen.boards.model import Board
from tinygen.project.create import render_template
from tinygen.project.files import INCLUDE
from tinygen.resources import resource

FAKE = Path(__file__).parent / "fake"
LAYERS = ("widen", "mix", "sum")
ProjectOf = Callable[[str], Path]


def toy_run(x: Sequence[int]) -> list[int]:
    """toy.c in Python."""
    work = [v * 3 for v in x]
    for _ in range(10):
        for i in range(16):
            scaled = work[(i + 5) % 16] << 20
            work[i] += abs(scaled) // 1234567 * (1 if scaled >= 0 else -1)
    return [(sum(work[i::4]) & 255) - 128 for i in range(4)]


def _table(name: str, rows: Sequence[Sequence[int]]) -> str:
    body = ",\n".join("    {" + ", ".join(map(str, row)) + "}" for row in rows)
    return f"const int8_t {name}[][{len(rows[0])}] = {{\n{body}}};\n"


def make_project(
    folder: Path,
    board: Board,
    *,
    samples: int = 12,
    wrong: int | None = None,
    defines: str = "",
    **variables: Any,
) -> Path:
    """wrong: the sample whose promised output is falsified. defines: text before toy.c."""
    rng = np.random.default_rng(3)
    inputs = rng.integers(-128, 128, (samples, 16)).tolist()
    outputs = [toy_run(x) for x in inputs]
    labels = [int(np.argmax(y)) for y in outputs]
    if wrong is not None:
        outputs[wrong][1] ^= 1
    regions = [
        r.model_dump(include={"name", "kind", "base", "size", "section"}) for r in board.memory
    ]
    defaults = resource("templates") / "baremetal" / "cookiecutter.json"
    values = {
        **json.loads(defaults.read_text()),
        "folder": folder.name,
        "model": "toy",
        "MODEL": "TOY",
        "board": board.name,
        "board_title": board.title,
        "cpu": board.core.cpu,
        "cflags": " ".join(board.core.cflags),
        "linker": {"regions": regions},
        "qemu_machine": board.emulation.qemu_machine or "",
        "host": board.emulation.host,
        "version": "0.0",
        **variables,
    }
    render_template("baremetal", values, folder.parent)
    model = folder / "src" / "model"
    model.mkdir()
    headers = folder / "include" / "tinygen_model"
    headers.mkdir(parents=True)
    shutil.copy(FAKE / "toy.h", headers)
    (model / "toy.c").write_text(f"{defines}\n{(FAKE / 'toy.c').read_text()}")
    (headers / "toy_samples.h").write_text(
        f'#include "tinygen_model/toy.h"\n#define TOY_SAMPLES {samples}\n'
        "extern const int8_t toy_sample_inputs[][TOY_INPUT_SIZE];\n"
        "extern const int8_t toy_sample_outputs[][TOY_OUTPUT_SIZE];\n"
        "extern const int32_t toy_sample_labels[];\n"
    )
    (model / "toy_samples.c").write_text(
        '#include "tinygen_model/toy_samples.h"\n'
        + _table("toy_sample_inputs", inputs)
        + _table("toy_sample_outputs", outputs)
        + f"const int32_t toy_sample_labels[] = {{{', '.join(map(str, labels))}}};\n"
    )
    include = folder / "src" / "tinygen" / "include" / "tinygen"
    include.mkdir(parents=True)
    for header in ("profile.h", "types.h"):
        shutil.copy(resource("kernels") / "include" / "tinygen" / header, include)
    (folder / "sources.cmake").write_text(
        "set(TG_SOURCES src/model/toy.c src/model/toy_samples.c)\n" + INCLUDE
    )
    (folder / "tinygen.json").write_text(
        json.dumps(
            {
                "board": board.name,
                "model": "toy",
                "layers": [{"name": name, "op": "Toy"} for name in LAYERS],
                "arena_bytes": 64,
            }
        )
    )
    return folder
