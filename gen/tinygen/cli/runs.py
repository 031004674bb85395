# SPDX-License-Identifier: Apache-2.0
"""A project is run, measured on its board, and shown."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinygen.cli.console import Json, out, progress, show


def run(
    folder: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="A project; default: here.")
    ] = Path(),
    on: Annotated[
        str | None,
        typer.Option(help="host | qemu | unicorn | gvsoc | chip; default: the best one here."),
    ] = None,
    samples: Annotated[
        int | None, typer.Option(help="Run only the first N samples (unicorn: 8 by default).")
    ] = None,
    elf: Annotated[
        Path | None, typer.Option(help="Run this image on the chip's model, instead of building.")
    ] = None,
    json: Json = False,
) -> None:
    """Build a project, run its self-test, and compare with the promised outputs.

    \b
    tinygen run app --on qemu --samples 8
    """
    from tinygen import runner
    from tinygen.report import page, records, tables

    if on is not None and on not in runner.PLACES:
        raise typer.BadParameter(f"choose one of {', '.join(runner.PLACES)}", param_hint="--on")
    board = runner.read_project(folder).load_board()
    with progress("Building and running") as update:
        result = runner.run(folder, board, on, samples, update, elf=elf)
    page.save_run(folder, records.run_record(result))
    show(json, records.run_record(result), tables.run_table(result))
    if not result.passed:
        raise typer.Exit(1)


def profile(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A generated project.")],
    port: Annotated[str | None, typer.Option(help="The board's serial port: /dev/ttyACM0")] = None,
    log: Annotated[Path | None, typer.Option(help="Output of the board, captured.")] = None,
    baud: Annotated[int, typer.Option(min=1, help="Speed of the port.")] = 115200,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait for a self-test.")] = 120,
    json: Json = False,
) -> None:
    """Compare what a real board measured with what was promised and predicted.

    \b
    tinygen profile app --port /dev/ttyACM0
    tinygen profile app --log captured.txt --json
    """
    from tinygen import runner
    from tinygen.report import page, records, tables

    with progress("Waiting for the board (press its reset button)") as advance:
        result = runner.profile(folder, port, log, baud, timeout, advance)
    page.save_run(folder, records.profile_record(result))
    show(json, records.profile_record(result), tables.profile_table(result))
    if not result.passed:
        raise typer.Exit(1)


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A generated project.")],
    to: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: DIR/report.html.")
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(metavar="JSON", help="What `check --json` printed: accuracy in the page."),
    ] = None,
) -> None:
    """Write one HTML page about a project: architecture, memory over time, choices, last run."""
    from tinygen.report import page

    out.print(f"Wrote {page.write_page(folder, to, check)}", soft_wrap=True)
