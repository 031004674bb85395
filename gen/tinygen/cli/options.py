# SPDX-License-Identifier: Apache-2.0
"""Arguments that several commands share, and what the planner gets of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:  # each command imports only the rooms that it uses
    from tinygen.planner import Options

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
Outputs = Annotated[
    list[str] | None,
    typer.Option(
        "--output", metavar="NAME", help="An output of the model's that is wanted; default: all."
    ),
]
InputPlace = Annotated[
    str, typer.Option("--input", help="Whose memory the input lies in: caller, arena.")
]


def options_of(
    attention: str,
    row_block: int | None,
    max_ram: float | None,
    max_flash: float | None,
    max_latency: float | None,
    place: str,
    short: bool,
    outputs: Sequence[str] | None,
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
        outputs=tuple(outputs or ()),
    )
