# SPDX-License-Identifier: Apache-2.0
"""Instructions of whole encoders, layer by layer, counted in QEMU: the table in README.md.

`python benchmarks/encoders.py` prints it; with --update it also goes into benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tinygen import runner
from tinygen.boards import load_board
from tinygen.project import Request, new_project

ROOT = Path(__file__).parents[1]
MODELS = ("digits", "activity", "paper_shapes/eegformer", "paper_shapes/ecgformer")
MODELS = (*MODELS, "paper_shapes/tinyradar")
BOARDS = ("mps2_an500", "mps2_an386")
START, END = "<!-- encoders -->", "<!-- end of encoders -->"


def measure(model: str, board: str, folder: Path) -> runner.RunResult:
    source = ROOT / "example_models" / model
    target = load_board(board)
    request = Request(target, source / "model.onnx", source / "samples.npz", folder, self_test=4)
    new_project(request)
    return runner.run(folder, target, "qemu")


def table() -> str:
    lines = []
    with tempfile.TemporaryDirectory() as scratch:
        for model in MODELS:
            name = Path(model).name
            m7, m4 = (measure(model, b, Path(scratch, f"{name}-{b}")) for b in BOARDS)
            if not (m7.passed and m4.passed):
                sys.exit(f"{name}: outputs are not as promised")
            lines += [f"\n**{name}**, {m7.compiler}\n", "| layer | operator | M7 | M4 |"]
            lines.append("|---|---|--:|--:|")
            for a, b in zip(m7.layers, m4.layers, strict=True):
                lines.append(f"| {a.name} | {a.op} | {a.count:,} | {b.count:,} |")
            lines.append(f"| **all** | | **{m7.total:,}** | **{m4.total:,}** |")
    return "\n".join(lines).strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update", action="store_true", help="write it into README.md")
    update = parser.parse_args().update
    text = table()
    print(text)
    if update:
        readme = ROOT / "benchmarks" / "README.md"
        before, rest = readme.read_text().split(START)
        readme.write_text(f"{before}{START}\n{text}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
