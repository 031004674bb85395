# SPDX-License-Identifier: Apache-2.0
"""`make demo`: digits on an emulated Cortex-M7, from the ONNX file to proven firmware."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tinygen import fidelity, runner
from tinygen.boards import load_board
from tinygen.errors import TinygenError
from tinygen.project import Request, new_project
from tinygen.report.tables import size

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "example_models" / "digits"
FOLDER = ROOT / "demo" / "digits-mps2_an500"


def main() -> None:
    console = Console(highlight=False)
    board = load_board("mps2_an500")
    shutil.rmtree(FOLDER, ignore_errors=True)
    with console.status("Importing, planning, writing the project"):
        created = new_project(
            Request(board, EXAMPLE / "model.onnx", EXAMPLE / "samples.npz", FOLDER, self_test=360)
        )
    with console.status("Comparing the integer model with onnxruntime"):
        x, y = fidelity.load_samples(EXAMPLE / "samples.npz", created.graph)
        check = fidelity.check(created.graph, EXAMPLE / "model.onnx", x, y)
    with console.status("Building the firmware and running it on an emulated Cortex-M7"):
        result = runner.run(FOLDER, board, max_samples=created.samples)

    plan = created.plan
    kinds = Counter(step.op for step in plan.steps)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("model", f"digits: {', '.join(f'{n} {op}' for op, n in kinds.items())}")
    table.add_row("work", f"{plan.macs:,} MAC, {size(plan.params_bytes)} of parameters")
    for region in plan.regions:
        table.add_row(
            f"memory, {region.name}",
            f"{region.used:,} B arena (lower bound {plan.arena_lower_bound:,} B)",
        )
    table.add_row(f"memory, {board.flash[0].name}", f"{size(result.flash_bytes)} with samples")
    table.add_row("accuracy, ONNX model", _percent(check.accuracy_onnx, check.samples))
    table.add_row("accuracy, firmware", _percent(result.accuracy, result.samples))
    table.add_row("bit-equal samples", f"{result.matching}/{result.samples} on {result.on}")
    table.add_row("instructions an inference", f"{result.total:,}" if result.total else "-")
    table.add_row("compiler", result.compiler)
    table.add_row("project", str(FOLDER.relative_to(ROOT)))
    console.print()
    console.print(table)
    if not result.passed:
        sys.exit(1)


def _percent(accuracy: float | None, samples: int) -> str:
    return "-" if accuracy is None else f"{100 * accuracy:.2f} % of {samples} samples"


if __name__ == "__main__":
    try:
        main()
    except TinygenError as e:
        sys.exit(f"demo: {e}")
