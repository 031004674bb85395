# SPDX-License-Identifier: Apache-2.0
"""ONNX's one-node attention."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto

from semantics.case import Case, ints, live, reals

Q, K = live(1, 2, 3, 4), live(1, 2, 5, 4)
FLAT = live(1, 3, 8)
HEADS = {"q_num_heads": 2, "kv_num_heads": 2}
GRID = (1 / 64, 0)


def case(*inputs: Any, **attrs: Any) -> Case:
    return Case("Attention", inputs, attrs, grid=GRID)


def masked(mask: Any, **attrs: Any) -> Case:
    return case(Q, K, K, mask, **attrs)


def plain() -> list[Case]:
    shared = (live(1, 4, 3, 4), live(1, 2, 5, 4), live(1, 2, 5, 4))
    return [
        case(Q, Q, Q),
        case(Q, K, K),
        case(Q, K, live(1, 2, 5, 6)),
        case(FLAT, FLAT, FLAT, **HEADS),
        case(FLAT, live(1, 5, 8), live(1, 5, 12), **HEADS),
        case(*shared),
        case(live(1, 3, 16), live(1, 5, 8), live(1, 5, 8), q_num_heads=4, kv_num_heads=2),
        case(live(2, 2, 3, 4), live(2, 2, 3, 4), live(2, 2, 3, 4)),
        case(Q, Q, Q, scale=0.3),
        case(Q, Q, Q, is_causal=1),
        case(Q, K, K, is_causal=1),
        case(K, Q, Q, is_causal=1),
        case(Q, Q, Q, softcap=2.0),
        case(Q, Q, Q, softmax_precision=TensorProto.FLOAT),
        case(Q, Q, Q, softmax_precision=TensorProto.FLOAT16),
        case(Q, Q, Q, qk_matmul_output_mode=1),
        case(Q, Q, Q, qk_matmul_output_mode=2),
        case(Q, Q, Q, qk_matmul_output_mode=3),
    ]


def masks() -> list[Case]:
    seen = np.array([[True, False, True, True, False]] * 3)
    seen[1, 1] = True
    large = np.where(seen, 0, -1e9).astype(np.float32)
    return [
        masked(seen),
        masked(seen[None, None]),
        masked(large),
        masked(large[None]),
        masked(seen, is_causal=1),
        masked(large, is_causal=1),
        masked(reals(3, 5)),
        masked(reals(1, 2, 3, 5)),
        masked(np.stack([seen, ~seen])[None]),
        masked(live(3, 5)),
        Case("Attention", (Q, K, K, seen[:, :4]), opsets=(24, 25), grid=GRID, note="short mask"),
        Case("Attention", (Q, K, K, large[:, :4]), opsets=(24, 25), grid=GRID, note="short mask"),
    ]


def windows() -> list[Case]:
    """Of keys around a query, since opset 25."""
    found = []
    for attrs in (
        {"left_window_size": 1},
        {"right_window_size": 0},
        {"left_window_size": 0, "right_window_size": 1},
        {"left_window_size": 1, "is_causal": 1},
    ):
        found.append(Case("Attention", (Q, Q, Q), attrs, grid=GRID, evaluator=True))
        found.append(Case("Attention", (Q, K, K), attrs, grid=GRID, evaluator=True))
    return found


def further() -> list[Case]:
    past = reals(1, 2, 2, 4), reals(1, 2, 2, 4)
    names = ("y", "k", "v")
    cached = {"outputs": names, "grid": GRID, "says": ("cache",)}
    return [
        Case("Attention", (Q, Q, Q, None, *past), **cached),
        Case("Attention", (Q, Q, Q), outputs=("y", "", "", "s"), read=3, says=("scores",)),
        Case("Attention", (Q, Q, Q), outputs=("y", "", "", "s"), note="scores unread", grid=GRID),
        Case(
            "Attention",
            (Q, Q, Q, None, None, None, ints(3)),
            opsets=(24, 25),
            says=("nonpad_kv_seqlen",),
        ),
    ]


CASES = [*plain(), *masks(), *windows(), *further()]
