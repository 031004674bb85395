# SPDX-License-Identifier: Apache-2.0
"""The main job: a model and a board become a project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from tinygen.boards import Board
from tinygen.errors import TinygenError
from tinygen.fidelity import import_for, load_samples
from tinygen.graph import Graph
from tinygen.graph.packed import size_of_all
from tinygen.planner import Options, Plan
from tinygen.project.create import create_project, require_free
from tinygen.project.planned import plan_model
from tinygen.project.promise import Progress, promise, random_samples
from tinygen.project.room import LABEL, samples_that_fit
from tinygen.resources import resource

RANDOM_SAMPLES = 8
MODULE = "zephyr-module"
GENERIC_NAMES = {"model", "quantized", "quantised", "model_quant", "int8", "network"}


@dataclass(frozen=True)
class Request:
    """What the user asked for. model None: the digits example, with its samples.

    self_test: how many samples the firmware carries at most.  options: wishes for the planner.
    module: not an application but a part of one; only Zephyr has such a template.
    """

    board: Board
    model: Path | None = None
    samples: Path | None = None
    folder: Path | None = None
    template: str | None = None
    name: str | None = None
    self_test: int = 32
    options: Options = field(default_factory=Options)
    module: bool = False


@dataclass(frozen=True, eq=False)
class Created:
    folder: Path
    graph: Graph
    plan: Plan
    samples: int
    labelled: bool
    template: str = ""


def load_graph(
    model: Path,
    name: str | None = None,
    samples: Path | None = None,
    outputs: Sequence[str] = (),
) -> Graph:
    """ONNX file -> integer graph, named after the file (or its folder if that says more).

    samples: .npz file from which scales that the model lacks are chosen.  outputs: those that are
    wanted, by default all.
    """
    if name is None:
        stem = model.stem
        name = model.resolve().parent.name if stem.lower() in GENERIC_NAMES else stem
    return import_for(model, samples, name=name, outputs=outputs).graph


def new_project(request: Request, progress: Progress | None = None) -> Created:
    """Import, plan, promise, write. `TinygenError` leaves nothing behind."""
    board = request.board
    template = request.template or board.templates[0]
    if template not in board.templates:
        raise TinygenError(
            f"board {board.name} has no template {template!r}: choose one of "
            f"{', '.join(board.templates)}"
        )
    if request.module:
        if template != "zephyr":
            raise TinygenError(
                f"template {template} has no module form: use --as app, or --template zephyr on a "
                "board that lists it"
            )
        template = MODULE
    model, samples_path = request.model, request.samples
    if model is None:
        example = resource("example_models/digits")
        model = example / "model.onnx"
        samples_path = samples_path or example / "samples.npz"
    if request.folder is not None:
        require_free(request.folder, template)
    graph = load_graph(model, request.name, samples_path, request.options.outputs)
    folder = request.folder or Path(f"{graph.name}-{board.name}")
    require_free(folder, template)
    planned = plan_model(graph, board, request.options, samples_path, progress)
    graph, plan = planned.graph, planned.plan
    x, y = samples_of(graph, samples_path, request.self_test, plan)
    samples = promise(graph, x, y, progress)
    create_project(plan, samples, template, folder, request.options)
    return Created(folder, graph, plan, len(x), y is not None, template)


def samples_of(
    graph: Graph, path: Path | None, count: int, plan: Plan
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """At most count samples of a file, or random ones without a file; no more than flash holds."""
    if count < 1:
        raise TinygenError(f"--self-test {count}: the firmware needs at least one sample")
    size = size_of_all(graph, (*graph.input_values, *graph.output_values))
    labels = LABEL * len(graph.outputs)
    count = samples_that_fit(plan, size + labels, count)
    if path is None:
        return random_samples(graph, min(count, RANDOM_SAMPLES)), None
    x, y = load_samples(path, graph)
    return x[:count], None if y is None else y[:count]
