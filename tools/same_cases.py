# SPDX-License-Identifier: Apache-2.0
"""What tools/same.py generates: models, boards, templates and wishes, as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES, CORPUS = ROOT / "example_models", ROOT / "tests" / "corpus" / "models"
SHARED = Path("/work/shared/cases")
EVERYWHERE = ("host", "mps2_an500", "mps2_an386", "mps2_an385", "pulp_open")
"""Boards that every model meets: each target, and of armv7em the cores with costs of their own."""
WISHED = ("mps2_an500", "mps2_an385", "gap9_evk")
DRAWN = 300
"""Random graphs, each on one board."""
WIDE = ("dynamo20-qdq-base", "dynamo20-qdq-vit", "dynamo20-qdq-causal", "dynamo20-qop-ids")
"""Corpus models that meet every board."""


@dataclass(frozen=True)
class Case:
    """options: fields of the planner's Options.  schedule: of every attention layer.

    quantise: the model is float.  module: `--as module`.  self_test: samples in the firmware.
    drawn: number of a random graph, which is written to ``model`` first.
    """

    name: str
    model: Path
    samples: Path | None
    board: str
    template: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    schedule: Mapping[str, Any] = field(default_factory=dict)
    quantise: bool = False
    drawn: int | None = None
    module: bool = False
    self_test: int = 2


def all_cases(boards: Mapping[str, tuple[str, ...]]) -> list[Case]:
    """boards: name -> templates."""
    examples = sorted(EXAMPLES.rglob("model.onnx"))
    corpus = sorted(CORPUS.glob("*.onnx"))
    wide = [*examples, *(CORPUS / f"{name}.onnx" for name in WIDE)]
    cases = [
        *_on_every_board(wide, boards),
        *_on_some_boards([m for m in corpus if m not in wide], boards),
        *_without_samples([*examples, *corpus[::8]]),
        *_with_wishes(examples + [CORPUS / f"{name}.onnx" for name in WIDE]),
        *_with_schedules([examples[0], examples[2], wide[-2]]),
        *_many_samples(examples),
        *_shared(SHARED),
        *_drawn(DRAWN),
    ]
    if len({c.name for c in cases}) != len(cases):
        raise ValueError("two cases of one name")
    return cases


def _called(model: Path) -> str:
    return model.parent.name if model.stem == "model" else model.stem


def _samples(model: Path) -> Path:
    """Beside the model, under either of the names in use."""
    beside = model.with_suffix(".npz")
    return beside if beside.exists() else model.with_name("samples.npz")


def _on_every_board(
    models: Iterable[Path], boards: Mapping[str, tuple[str, ...]]
) -> Iterator[Case]:
    for model, (board, templates) in product(models, boards.items()):
        for template in templates:
            name = f"{_called(model)}/{board}/{template}"
            yield Case(name, model, _samples(model), board, template)
        if "zephyr" in templates:
            name = f"{_called(model)}/{board}/module"
            yield Case(name, model, _samples(model), board, "zephyr", module=True)


def _on_some_boards(
    models: Iterable[Path], boards: Mapping[str, tuple[str, ...]]
) -> Iterator[Case]:
    """The usual ones, and one more that differs from model to model."""
    others = sorted(set(boards) - set(EVERYWHERE))
    for i, model in enumerate(models):
        for board in (*EVERYWHERE, others[i % len(others)]):
            yield Case(f"{_called(model)}/{board}", model, _samples(model), board)


def _without_samples(models: Iterable[Path]) -> Iterator[Case]:
    for model, board in product(models, ("mps2_an500", "gap9_evk")):
        yield Case(f"{_called(model)}/{board}/no samples", model, None, board)


def _with_wishes(models: Iterable[Path]) -> Iterator[Case]:
    kinds = ("whole", "depth-first", "head-streaming")
    wishes: list[dict[str, Any]] = [
        *({"attention": kind} for kind in kinds),
        *({"attention": kind, "row_block": 4} for kind in kinds),
        {"row_block": 3},
        *({"max_ram": limit} for limit in (9_000, 20_000, 40_000)),
        *({"max_flash": limit} for limit in (20_000, 45_000)),
        {"max_latency": 1.0},
        {"max_latency": 50.0},
        {"feed_forward_block": 4},
        {"input_in_arena": True},
        *({"fusion": f} for f in ("unfused", "fused-scores", "fused-values", "fused")),
        {"short": True},
        {"short": True, "fusion": "fused"},
        {"attention": "head-streaming", "fusion": "fused", "input_in_arena": True},
    ]
    for model, board, options in product(models, WISHED, wishes):
        text = ",".join(f"{k}={v}" for k, v in options.items())
        name = f"{_called(model)}/{board}/{text}"
        yield Case(name, model, _samples(model), board, options=options)


def _with_schedules(models: Iterable[Path]) -> Iterator[Case]:
    """What no option of `tinygen new` reaches: accumulation, compact operands, teams of cores."""
    cortex: list[dict[str, Any]] = [
        {"kind": "head-streaming", "row_block": 8, "accumulate": True},
        {"kind": "depth-first", "row_block": 8, "compact": True},
        {"kind": "whole", "row_block": 4, "compact": True},
    ]
    cluster: list[dict[str, Any]] = [
        {"kind": "heads-to-cores", "row_block": 4},
        {"kind": "rows-to-cores", "row_block": 4},
        {"kind": "rows-to-cores", "row_block": 4, "teams": 2},
    ]
    for model in models:
        some = [("mps2_an500", s) for s in cortex] + [("mps2_an385", cortex[0])]
        for board, schedule in [*some, *(("pulp_open", s) for s in cluster)]:
            text = ",".join(f"{k}={v}" for k, v in schedule.items())
            name = f"{_called(model)}/{board}/schedule {text}"
            yield Case(name, model, _samples(model), board, schedule=schedule)


def _many_samples(models: Iterable[Path]) -> Iterator[Case]:
    for model in models:
        yield Case(f"{_called(model)}/mps2_an500/32", model, _samples(model), "mps2_an500", None,
                   self_test=32)  # fmt: skip


def _shared(folder: Path) -> Iterator[Case]:
    """Cases from bug reports, where they are on this machine; many are refused, by a sentence."""
    for model, board in product(sorted(folder.glob("*.onnx")), ("mps2_an500", "gap9_evk")):
        found = [model.with_suffix(".npz"), folder / f"{model.stem[:3]}.npz", folder / "v20.npz"]
        if model.stem == "c06f":
            found = [folder / "c06_outlier.npz"]
        samples = next(f for f in found if f.exists())
        quantise = model.stem.endswith("f")
        name = f"shared {model.stem}/{board}"
        yield Case(name, model, samples, board, quantise=quantise)
    digits = EXAMPLES / "digits" / "model.onnx"
    for board in sorted(folder.glob("boards/*.yaml")):
        yield Case(f"shared board {board.stem}", digits, None, str(board))


def _drawn(count: int) -> Iterator[Case]:
    for number in range(count):
        board = EVERYWHERE[number % len(EVERYWHERE)]
        model = Path(f"drawn{number}.onnx")
        yield Case(f"drawn {number}/{board}", model, model.with_suffix(".npz"), board, drawn=number)
