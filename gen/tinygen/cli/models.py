# SPDX-License-Identifier: Apache-2.0
"""A model is looked at, compared with onnxruntime, made of a float one; no project yet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from tinygen.boards import load_board
from tinygen.cli.console import Json, progress, show
from tinygen.cli.options import (
    Attention,
    BoardName,
    InputPlace,
    MaxFlash,
    MaxLatency,
    MaxRam,
    Model,
    Outputs,
    RowBlock,
    Short,
    options_of,
)


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
    output: Outputs = None,
    json: Json = False,
) -> None:
    """Show what is recognised in a model and how it would lie in a board's memory.

    \b
    tinygen inspect model.onnx --board nucleo_h743zi --max-latency 2ms
    """
    from tinygen.project import load_graph, plan_model
    from tinygen.report import records, tables

    options = options_of(
        attention, row_block, max_ram, max_flash, max_latency, input_place, short, output
    )
    graph = load_graph(model, samples=samples, outputs=options.outputs)
    with progress("Planning") as update:
        plan = plan_model(graph, load_board(board), options, samples, update).plan
    show(json, records.plan_record(plan), tables.plan_tables(plan))


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
    output: Outputs = None,
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
    imported = fidelity.import_for(model, data, outputs=output or ())
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
