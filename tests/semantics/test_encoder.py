# SPDX-License-Identifier: Apache-2.0
"""An attention whose steps are written otherwise is computed as written, or refused in a sentence:
a pattern that is only nearly attention is never taken for it."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from semantics.encoder import H, Net, S, Step, Variant, distance
from tinygen.errors import TinygenError

NEAR = 1.0
"""Mean LSB of the output: the roundings of an attention. Another order of axes is tens of LSB."""
PLAIN = Variant()
ORDERS = [(0, *p) for p in permutations((1, 2, 3))]
CAUSAL = np.tril(np.ones((S, S), bool))


def near_or_refused(variant: Variant, folder: Path) -> str:
    """Nothing, or the sentence."""
    try:
        off = distance(variant, folder)
    except TinygenError as error:
        sentence = str(error)
        assert "unsupported operator" not in sentence and "malformed" not in sentence, sentence
        return sentence
    assert off < NEAR, f"{off:.2f} LSB off in silence"
    return ""


def test_plain(tmp_path: Path) -> None:
    assert not near_or_refused(PLAIN, tmp_path)


@pytest.mark.parametrize("opset", [11, 13, 17])
@pytest.mark.parametrize("axis", [None, -1, -2, -3, -4, 0, 1, 2, 3])
def test_softmax_along_any_axis(axis: int | None, opset: int, tmp_path: Path) -> None:
    attrs = {} if axis is None else {"axis": axis}
    assert not near_or_refused(Variant(softmax=attrs, opset=opset), tmp_path)


@pytest.mark.parametrize("part", ["q", "k", "v", "out"])
@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_any_order_of_axes(part: str, order: tuple[int, ...], tmp_path: Path) -> None:
    near_or_refused(Variant(**{part: order}), tmp_path)


@pytest.mark.parametrize("seed", range(12))
def test_orders_together(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    q, k, v, out = (ORDERS[i] for i in rng.integers(0, len(ORDERS), 4))
    near_or_refused(Variant(q, k, v, out), tmp_path)


def factor(kind: str, value: object) -> Step:
    return lambda net, x: net.add(kind, x, net.constant(np.asarray(value, np.float32)))


def masked(kind: str, seen: np.ndarray, low: float = -1e9) -> Step:
    """Scores where ``seen``, elsewhere a large negative number."""

    def step(net: Net, x: str) -> str:
        if kind == "Add":
            return net.add("Add", x, net.constant(np.where(seen, 0, low).astype(np.float32)))
        number = net.constant(np.float32(low))
        if kind == "Where":
            return net.add("Where", net.constant(seen), x, number)
        return net.add("Where", net.constant(~seen), number, x)

    return step


def both(*steps: Step) -> Step:
    def step(net: Net, x: str) -> str:
        for one in steps:
            x = one(net, x)
        return x

    return step


def turned(perm: tuple[int, ...]) -> Step:
    return lambda net, x: net.add("Transpose", x, perm=perm)


def reshaped(*shape: int) -> Step:
    return lambda net, x: net.reshape(x, *shape)


BY_HEAD = np.stack([CAUSAL, CAUSAL.T, CAUSAL, CAUSAL])[None]
ROW = np.array([True, True, False, True])
SCORES: dict[str, Step] = {
    "half": factor("Mul", 0.5),
    "divided": factor("Div", 2.0),
    "negative": factor("Mul", -0.5),
    "zero": factor("Mul", 0.0),
    "by key": factor("Mul", [0.5, 1, 1, 0.5]),
    "by head": factor("Mul", np.float32([0.5, 1, 1, 2]).reshape(1, H, 1, 1)),
    "shifted": factor("Add", 1.5),
    "bias by key": factor("Add", [0.5, 0, 0, -0.5]),
    "bias by head": factor("Add", np.float32([0.5, 1, 1, 2]).reshape(1, H, 1, 1)),
    "transposed": turned((0, 1, 3, 2)),
    "heads as rows": turned((0, 2, 1, 3)),
    **{f"{k} causal": masked(k, CAUSAL) for k in ("Add", "Where", "Where not")},
    **{f"{k} of a key": masked(k, ROW) for k in ("Add", "Where", "Where not")},
    **{f"{k} by head": masked(k, BY_HEAD) for k in ("Add", "Where", "Where not")},
    "Add of -60": masked("Add", CAUSAL, -60.0),
    "Add of -5": masked("Add", CAUSAL, -5.0),
    "Where of -5": masked("Where", CAUSAL, -5.0),
    "Where of infinity": masked("Where", CAUSAL, -np.inf),
    "Add upwards": masked("Add", CAUSAL, 60.0),
    "mask, then a factor": both(masked("Add", CAUSAL), factor("Mul", 0.5)),
    "mask, then a negative factor": both(masked("Where", CAUSAL), factor("Mul", -0.5)),
    "mask, then a small factor": both(masked("Add", CAUSAL, -60.0), factor("Mul", 0.01)),
    "factor, then a mask": both(factor("Mul", 0.5), masked("Where", CAUSAL)),
    "two masks": both(masked("Where", CAUSAL), masked("Add", ROW)),
    "mask, then transposed": both(masked("Where", CAUSAL), turned((0, 1, 3, 2))),
    "mask of rows": masked("Add", ROW[:, None] | CAUSAL),
}


@pytest.mark.parametrize("name", SCORES)
def test_steps_before_the_softmax(name: str, tmp_path: Path) -> None:
    near_or_refused(Variant(scores=SCORES[name]), tmp_path)


@pytest.mark.parametrize("axis", [1, 2, 3])
@pytest.mark.parametrize("opset", [11, 17])
def test_a_mask_before_a_softmax_along_any_axis(axis: int, opset: int, tmp_path: Path) -> None:
    step = masked("Where", CAUSAL)
    near_or_refused(Variant(scores=step, softmax={"axis": axis}, opset=opset), tmp_path)


AFTER: dict[str, Step] = {
    "half": factor("Mul", 0.5),
    "negative": factor("Mul", -1.0),
    "by key": factor("Mul", [0.5, 1, 1, 0.5]),
    "transposed": turned((0, 1, 3, 2)),
    "heads as rows": turned((0, 2, 1, 3)),
    "masked after": factor("Mul", CAUSAL),
}


@pytest.mark.parametrize("shape", [(1, H * S, S, 1), (1, H, S * S), (H, S * S, 1), (1, H * S, S)])
def test_a_softmax_of_another_shape(shape: tuple[int, ...], tmp_path: Path) -> None:
    near_or_refused(Variant(scores=reshaped(*shape), after=reshaped(1, H, S, S)), tmp_path)


@pytest.mark.parametrize("name", AFTER)
def test_steps_after_the_softmax(name: str, tmp_path: Path) -> None:
    near_or_refused(Variant(after=AFTER[name]), tmp_path)
