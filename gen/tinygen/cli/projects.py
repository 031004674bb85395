# SPDX-License-Identifier: Apache-2.0
"""A project is made, and gets another model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinygen.boards import load_board
from tinygen.cli.console import Json, out, progress, show
from tinygen.cli.options import (
    Attention,
    BoardName,
    InputPlace,
    MaxFlash,
    MaxLatency,
    MaxRam,
    Outputs,
    RowBlock,
    Short,
    options_of,
)


def new(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Default: <model>-<board>.")
    ] = None,
    board: BoardName = ...,  # type: ignore[assignment]
    model: Annotated[
        Path | None, typer.Option("--model", "-m", help="Quantised ONNX; default: digits example.")
    ] = None,
    samples: Annotated[
        Path | None, typer.Option(help=".npz with x [N, ...] and optionally y [N].")
    ] = None,
    template: Annotated[str | None, typer.Option(help="Default: the board's first.")] = None,
    kind: Annotated[
        str, typer.Option("--as", metavar="app|module", help="module: a part for your application.")
    ] = "app",
    name: Annotated[str | None, typer.Option(help="Prefix of the generated C names.")] = None,
    self_test: Annotated[int, typer.Option(help="Samples that the firmware carries at most.")] = 32,
    attention: Attention = "auto",
    row_block: RowBlock = None,
    max_ram: MaxRam = None,
    max_flash: MaxFlash = None,
    max_latency: MaxLatency = None,
    input_place: InputPlace = "caller",
    short: Short = False,
    output: Outputs = None,
    json: Json = False,
) -> None:
    """Create a firmware project from a model and a board.

    \b
    tinygen new --board nucleo_h743zi
    tinygen new app --board nucleo_l476rg --model model.onnx --samples test.npz --max-ram 20K
    tinygen new lib --board nucleo_h743zi --model model.onnx --as module
    """
    from tinygen.project import Request, new_project
    from tinygen.report import records, tables

    if kind not in ("app", "module"):
        raise typer.BadParameter("choose app or module", param_hint="--as")
    options = options_of(
        attention, row_block, max_ram, max_flash, max_latency, input_place, short, output
    )
    request = Request(
        load_board(board),
        model,
        samples,
        folder,
        template,
        name,
        self_test,
        options,
        module=kind == "module",
    )
    with progress("Computing promised outputs") as update:
        created = new_project(request, update)
    show(json, records.created_record(created), tables.plan_tables(created.plan))
    if not json:
        out.print(tables.next_steps(created))


def update(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A generated project.")],
    model: Annotated[Path, typer.Option("--model", "-m", help="The retrained ONNX model.")],
    samples: Annotated[
        Path | None, typer.Option(help=".npz with x [N, ...] and optionally y [N].")
    ] = None,
    self_test: Annotated[int, typer.Option(help="Samples that the firmware carries at most.")] = 32,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite edited generated files; .orig keeps them.")
    ] = False,
    json: Json = False,
) -> None:
    """Put another model into a project; files that you edited stay as they are.

    \b
    tinygen update app --model retrained.onnx --samples test.npz
    """
    from tinygen.project import update_project
    from tinygen.report import records, tables

    with progress("Computing promised outputs") as advance:
        updated = update_project(folder, model, samples, self_test, force, advance)
    show(json, records.updated_record(updated), tables.updated_text(updated))
