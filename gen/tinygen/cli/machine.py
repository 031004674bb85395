# SPDX-License-Identifier: Apache-2.0
"""The boards, and the tools on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinygen.boards import all_boards
from tinygen.cli.console import Json, show


def boards(context: typer.Context, json: Json = False) -> None:
    """List the boards, or import one from a Zephyr tree."""
    if context.invoked_subcommand:
        return
    from tinygen.report import records, tables

    every = all_boards()
    show(json, {"boards": [records.board_record(b) for b in every]}, tables.boards_table(every))


def boards_import(
    board: Annotated[str, typer.Argument(metavar="BOARD", help="As `west build -b` takes it.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: <board>.yaml here.")
    ] = None,
    json: Json = False,
) -> None:
    """Describe any Cortex-M board by its compiled devicetree; needs ZEPHYR_BASE.

    \b
    tinygen boards import nucleo_f429zi
    tinygen new --board nucleo_f429zi.yaml
    """
    from tinygen.report import records, tables
    from tinygen.runner import import_board

    imported, path = import_board(board, output)
    show(
        json, {"file": str(path), **records.board_record(imported)}, tables.imported(imported, path)
    )


def doctor(json: Json = False) -> None:
    """Show which tools are on this machine and how to get the others."""
    from tinygen import runner
    from tinygen.report import records, tables

    checks = runner.doctor()
    show(json, records.doctor_record(checks), tables.doctor_table(checks))
