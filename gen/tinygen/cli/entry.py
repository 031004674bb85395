# SPDX-License-Identifier: Apache-2.0
"""All commands in the order in which help lists them, and what becomes of an error."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import Annotated, NoReturn

import typer

from tinygen import __version__
from tinygen.cli import machine, models, projects, runs
from tinygen.errors import TinygenError

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small products: threads only wait

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Turn a quantised transformer encoder (ONNX) into a firmware project.",
)
for command in (
    projects.new,
    models.inspect,
    models.check,
    models.quantize,
    runs.run,
    projects.update,
    runs.profile,
    runs.report,
    machine.doctor,
):
    app.command()(command)

boards_app = typer.Typer(context_settings={"help_option_names": ["-h", "--help"]})
boards_app.callback(invoke_without_command=True)(machine.boards)
boards_app.command("import")(machine.boards_import)
app.add_typer(boards_app, name="boards")


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(f"tinygen {__version__}")
        raise typer.Exit


def _fail(sentence: str) -> NoReturn:
    with suppress(OSError):
        sys.stdout.flush()
    print(f"tinygen: {sentence}", file=sys.stderr)
    sys.exit(1)


def main() -> None:
    """Entry point: a `TinygenError` becomes one sentence on stderr and exit status 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may lack a sign: ? stands for it
            stream.reconfigure(errors="replace")
    try:
        app()
    except TinygenError as e:
        _fail(str(e))
    except OSError as e:
        _fail(f"{e.filename}: {e.strerror}" if e.filename else str(e))
    except KeyboardInterrupt:
        print("tinygen: interrupted", file=sys.stderr)
        sys.exit(130)
