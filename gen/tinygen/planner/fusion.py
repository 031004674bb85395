# SPDX-License-Identifier: Apache-2.0
"""Which attention layers are worth fused weights: a matter of shapes, before any are made.

W_q W_k^T takes E x E multiplications a row and head where W_q and W_k take 2 E P, and scores that
sum over E instead of P: fewer where P is near E, many more where it is small. The same holds for
W_v W_o and the context.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tinygen.boards import Board
from tinygen.graph import Graph
from tinygen.numeric import Requant
from tinygen.operators import FUSIONS, Attention, Fusion
from tinygen.planner import plan as p
from tinygen.planner.choose import NEGLIGIBLE
from tinygen.planner.machine import Cost
from tinygen.planner.machines import machine_of


def fusion_forms(
    graph: Graph, board: Board, wish: Fusion | None = None
) -> dict[str, tuple[p.FusionForm, ...]]:
    """Unfused attention layer -> the forms that its weights may take, one of them chosen: the
    wished one, else the one with the fewest predicted cycles."""
    layers = {n.name: n.op for n in graph.nodes if isinstance(n.op, Attention)}
    every = {fusion: _costs(graph, board, fusion) for fusion in FUSIONS}
    return {
        name: _chosen([_form(op, fusion, every[fusion][name]) for fusion in FUSIONS], wish)
        for name, op in layers.items()
    }


def _costs(graph: Graph, board: Board, fusion: Fusion) -> dict[str, Cost]:
    """Of every attention layer."""
    machine = machine_of(board)
    nodes = tuple(
        replace(n, op=shaped(n.op, fusion, machine.usual_weight))
        if isinstance(n.op, Attention)
        else n
        for n in graph.nodes
    )
    return machine.attention_costs(replace(graph, nodes=nodes))


def wanted(forms: Mapping[str, tuple[p.FusionForm, ...]]) -> dict[str, Fusion]:
    """Layer -> its chosen form, where that is a fused one."""
    chosen = {name: next(f.fusion for f in every if f.chosen) for name, every in forms.items()}
    return {name: fusion for name, fusion in chosen.items() if fusion != "unfused"}


def smallest(forms: Mapping[str, tuple[p.FusionForm, ...]]) -> dict[str, tuple[p.FusionForm, ...]]:
    """The same with the fewest parameters chosen."""
    least = {name: min(every, key=lambda f: f.params) for name, every in forms.items()}
    return {
        name: tuple(
            replace(f, chosen=f is least[name], why="the fewest parameters" * (f is least[name]))
            for f in every
        )
        for name, every in forms.items()
    }


def shaped(op: Attention, fusion: Fusion, weight: int = 0) -> Attention:
    """The layer as it is, or with fused weights of the right shape, all alike."""
    if fusion == "unfused":
        return op
    n, e, h = len(op.wo), op.wq.shape[1], op.heads
    keys, values = fusion in ("fused-scores", "fused"), fusion in ("fused-values", "fused")
    if keys:
        op = replace(
            op,
            dim=e,
            **_alike("q", op.rq, h * e, e, weight),
            **_alike("k", op.rk, 0, e, weight),
        )
    if values:
        op = replace(op, **_alike("v", op.rv, 0, e, weight), **_alike("o", op.ro, n, h * e, weight))
    return op


def _alike(which: str, r: Requant, rows: int, k: int, weight: int) -> dict[str, Any]:
    """A product of that size."""
    return {
        f"w{which}": np.full((rows, k), weight, np.int8),
        f"b{which}": np.zeros(rows, np.int32),
        f"r{which}": replace(r, m=r.m.max(keepdims=True)),
    }


def _form(op: Attention, fusion: Fusion, cost: Cost) -> p.FusionForm:
    return p.FusionForm(fusion, shaped(op, fusion).params, *cost)


def _chosen(forms: list[p.FusionForm], wish: Fusion | None) -> tuple[p.FusionForm, ...]:
    plain = forms[0]
    if wish is not None:
        return tuple(replace(f, chosen=f.fusion == wish, why=_asked(f, wish)) for f in forms)
    if plain.cycles is None:
        why = "no cost model of this core"
        return tuple(replace(f, chosen=f is plain, why=why if f is plain else "") for f in forms)
    saved = {f.fusion: 1 - (f.cycles or 0) / max(1, plain.cycles) for f in forms}
    best = max(forms, key=lambda f: saved[f.fusion])
    if saved[best.fusion] <= NEGLIGIBLE:
        best = plain
    made = []
    for f in forms:
        change = saved[f.fusion]
        why = f"{100 * abs(change):.0f} % {'fewer' if change >= 0 else 'more'} cycles"
        made.append(replace(f, chosen=f is best, why="" if f is plain else why))
    return tuple(made)


def _asked(form: p.FusionForm, wish: Fusion) -> str:
    return "asked for" if form.fusion == wish else ""
