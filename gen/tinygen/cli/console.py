# SPDX-License-Identifier: Apache-2.0
"""What a user sees: a table or one JSON object on stdout, a bar and sentences on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]

# A pipe has no width: let no name be cut there.
out = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
err = Console(stderr=True, highlight=False)


@contextmanager
def progress(doing: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr that a terminal shows and a pipe does not."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(doing, total=None)

        def update(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield update


def show(as_json: bool, record: dict[str, Any], table: RenderableType) -> None:
    if as_json:
        print(json.dumps(record))
    else:
        out.print(table)
