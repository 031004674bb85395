# SPDX-License-Identifier: Apache-2.0
"""The command line: arguments in, one call out, one table or JSON object printed."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from tinygen import __version__
from tinygen.boards import all_boards, load_board
from tinygen.errors import TinygenError

if TYPE_CHECKING:  # each command imports only the rooms that it uses
    from tinygen.planner import Options

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small products: threads only wait

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Turn a quantised transformer encoder (ONNX) into a firmware project.",
)

boards_app = typer.Typer(context_settings={"help_option_names": ["-h", "--help"]})
app.add_typer(boards_app, name="boards")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
BoardName = Annotated[str, typer.Option("--board", "-b", help="See `tinygen boards`.")]
Model = Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="Quantised ONNX model.")]


def _amount(units: dict[str, float]) -> Callable[[str], float]:
    """Parser of a number with a unit; the empty unit is what the number means without one."""

    def parse(text: str) -> float:
        found = re.fullmatch(r"([0-9.,_]+)\s*([a-z]*)", text.strip().lower())
        if found is None or found[2] not in units:
            known = ", ".join(u for u in units if u)
            raise typer.BadParameter(f"{text!r} is no amount: write a number, or one with {known}")
        return float(found[1].replace(",", "").replace("_", "")) * units[found[2]]

    return parse


_bytes = _amount({"": 1, "b": 1, "k": 1024, "kb": 1024, "m": 1024**2, "mb": 1024**2})
_milliseconds = _amount({"": 1, "ms": 1, "us": 1e-3, "s": 1e3})

Attention = Annotated[
    str,
    typer.Option(
        metavar="auto|SCHEDULE|WEIGHTS|SCHEDULE,WEIGHTS",
        help="whole, depth-first, head-streaming (the same bits); unfused, fused-scores, "
        "fused-values, fused (other bits; needs --samples).",
    ),
]
RowBlock = Annotated[
    int | None, typer.Option(min=1, help="Query rows at a time, instead of the planner's choice.")
]
MaxRam = Annotated[
    float | None,
    typer.Option(parser=_bytes, metavar="BYTES", help="Limit of working memory: 20000, 20K."),
]
MaxFlash = Annotated[
    float | None,
    typer.Option(parser=_bytes, metavar="BYTES", help="Limit of weights, tables and code: 1M."),
]
MaxLatency = Annotated[
    float | None,
    typer.Option(parser=_milliseconds, metavar="MS", help="Limit of the predicted time: 2.5ms."),
]
Short = Annotated[
    bool,
    typer.Option(
        "--short",
        help="22-bit multipliers, and 8-bit attention weights where samples allow: faster on GAP9.",
    ),
]


InputPlace = Annotated[
    str, typer.Option("--input", help="Whose memory the input lies in: caller, arena.")
]


def _options(
    attention: str,
    row_block: int | None,
    max_ram: float | None,
    max_flash: float | None,
    max_latency: float | None,
    place: str,
    short: bool,
) -> Options:
    from tinygen.operators import FUSIONS
    from tinygen.planner import KINDS, Options

    wishes = [w for w in attention.split(",") if w != "auto"]
    kind = next((k for k in KINDS if k in wishes), None)
    fusion = next((f for f in FUSIONS if f in wishes), None)
    if sorted(wishes) != sorted(w for w in (kind, fusion) if w):
        raise typer.BadParameter(
            f"choose auto, one of {', '.join(KINDS)}, one of {', '.join(FUSIONS)}, or two of them "
            "with a comma between",
            param_hint="--attention",
        )
    if place not in ("caller", "arena"):
        raise typer.BadParameter("choose one of caller, arena", param_hint="--input")
    ram, flash = (None if m is None else int(m) for m in (max_ram, max_flash))
    return Options(
        kind,
        row_block,
        ram,
        flash,
        max_latency,
        fusion=fusion,
        input_in_arena=place == "arena",
        short=short,
    )


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


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(f"tinygen {__version__}")
        raise typer.Exit


@app.command()
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
    options = _options(attention, row_block, max_ram, max_flash, max_latency, input_place, short)
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


@boards_app.callback(invoke_without_command=True)
def boards(context: typer.Context, json: Json = False) -> None:
    """List the boards, or import one from a Zephyr tree."""
    if context.invoked_subcommand:
        return
    from tinygen.report import records, tables

    every = all_boards()
    show(json, {"boards": [records.board_record(b) for b in every]}, tables.boards_table(every))


@boards_app.command("import")
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


@app.command()
def inspect(
    model: Model,
    board: BoardName = "host",
    samples: Annotated[
        Path | None,
        typer.Option(
            help=".npz with x [N, ...], y [N]: for scales that the model lacks, and for fused "
            "attention weights."
        ),
    ] = None,
    attention: Attention = "auto",
    row_block: RowBlock = None,
    max_ram: MaxRam = None,
    max_flash: MaxFlash = None,
    max_latency: MaxLatency = None,
    input_place: InputPlace = "caller",
    short: Short = False,
    json: Json = False,
) -> None:
    """Show what is recognised in a model and how it would lie in a board's memory.

    \b
    tinygen inspect model.onnx --board nucleo_h743zi --max-latency 2ms
    """
    from tinygen.project import load_graph, plan_model
    from tinygen.report import records, tables

    options = _options(attention, row_block, max_ram, max_flash, max_latency, input_place, short)
    graph = load_graph(model, samples=samples)
    with progress("Planning") as update:
        plan = plan_model(graph, load_board(board), options, samples, update).plan
    show(json, records.plan_record(plan), tables.plan_tables(plan))


@app.command()
def check(
    model: Model,
    data: Annotated[Path, typer.Option(help=".npz with x [N, ...] and optionally y [N].")],
    per_layer: Annotated[
        bool, typer.Option("--per-layer", help="Also where the two part company, layer by layer.")
    ] = False,
    attention: Annotated[
        str,
        typer.Option(help="Fused weights to try too: auto (where they save), unfused, ..."),
    ] = "auto",
    short: Short = False,
    json: Json = False,
) -> None:
    """Compare the integer model with onnxruntime on real samples.

    \b
    tinygen check model.onnx --data test.npz --per-layer
    """
    from tinygen import fidelity
    from tinygen.operators import FUSIONS
    from tinygen.report import records, tables

    wishes = tuple(f for f in FUSIONS if f == attention)
    if not wishes and attention != "auto":
        raise typer.BadParameter(
            f"choose one of auto, {', '.join(FUSIONS)}", param_hint="--attention"
        )
    imported = fidelity.import_for(model, data)
    if short:
        imported = replace(imported, graph=fidelity.shortened(imported.graph, data))
    x, y = fidelity.load_samples(data, imported.graph)
    with progress("Running both models") as update:
        result = fidelity.check(imported.graph, model, x, y, update)
        fused = fidelity.check_fused(imported.graph, model, x, y, wishes, update)
    record = {**records.check_record(result, fused), "notes": list(imported.graph.notes)}
    table = tables.with_notes(tables.check_table(result, fused), imported.graph.notes)
    if not per_layer:
        show(json, record, table)
        return
    with progress("Comparing layers") as update:
        layers = fidelity.check_layers(imported, model, x, update)
    show(json, {**record, **records.layers_record(layers)}, tables.layers_table(layers, table))


@app.command()
def quantize(
    model: Annotated[Path, typer.Argument(metavar="FLOAT.onnx", help="Float ONNX model.")],
    calibration: Annotated[
        Path, typer.Option("--calibration", "-c", help=".npz with x [N, ...], optionally y [N].")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: <model>_int8.onnx beside it.")
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Replace an existing file; write a worthless result too."),
    ] = False,
    json: Json = False,
) -> None:
    """Quantise a float model to the form that tinygen takes best.

    \b
    tinygen quantize float.onnx --calibration train.npz -o model.onnx
    """
    from tinygen import fidelity
    from tinygen.report import records, tables

    target = output or model.with_name(f"{model.stem}_int8.onnx")
    with progress("Calibrating") as update:
        result = fidelity.quantize(model, calibration, target, force=force, progress=update)
    show(json, records.quantised_record(result), tables.quantised_tables(result))


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
def doctor(json: Json = False) -> None:
    """Show which tools are on this machine and how to get the others."""
    from tinygen import runner
    from tinygen.report import records, tables

    checks = runner.doctor()
    show(json, records.doctor_record(checks), tables.doctor_table(checks))


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
