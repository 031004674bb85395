# SPDX-License-Identifier: Apache-2.0
"""One random model for each seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import onnx
from onnx import TensorProto

from fuzz import blocks, moves, pieces
from fuzz.net import Net, Rejected

OFTEN: tuple[tuple[int, Callable[[Net, str], str]], ...] = (
    (6, pieces.unary),
    (2, pieces.guarded),
    (2, pieces.clip),
    (2, pieces.gelu),
    (6, pieces.with_constant),
    (6, pieces.pair),
    (8, pieces.matmul),
    (1, pieces.left_product),
    (2, pieces.product),
    (2, pieces.einsum),
    (5, pieces.norm),
    (2, pieces.batch_norm),
    (2, pieces.softmax),
    (5, pieces.reduce),
    (4, pieces.conv),
    (4, pieces.pool),
    (3, pieces.stored),
    (12, blocks.swept),
    (8, blocks.attention),
    (3, blocks.feed_forward),
    (4, blocks.residual),
    (1, moves.expand),
    (1, moves.pad),
    (4, moves.undone),
    (4, moves.moved_sum),
    *((2, m) for m in moves.MOVES),
)
WEIGHTS = np.asarray([w for w, _ in OFTEN], float)
SHAPES = ((1, 4, 8), (1, 6, 4), (1, 8), (1, 3, 6, 5), (1, 2, 7), (5, 4), (12,), (1, 5, 6))


@dataclass(frozen=True)
class Drawn:
    """way: bare (nothing is rounded but the input), qdq, some or float (for `tinygen quantize`).
    more: further outputs."""

    net: Net
    output: str
    way: str
    more: tuple[str, ...] = ()

    @property
    def model(self) -> onnx.ModelProto:
        return self.net.model(self.output, *self.more)


def draw_several(seed: int, case: int) -> Drawn:
    """The same graph with up to two more outputs, of the real values on the way."""
    drawn = draw(seed, case)
    net, rng = drawn.net, np.random.default_rng([seed, case, 1])
    found = [
        name
        for made in net.made
        for name in made.node.output
        if name in net.live and name != drawn.output and net.values[name][0].dtype == np.float32
    ]
    count = min(len(found), int(rng.integers(1, 3)))
    more = rng.choice(found, count, replace=False) if found else []
    return replace(drawn, more=tuple(str(name) for name in more))


def draw(seed: int, case: int) -> Drawn:
    """Always the same for the same numbers."""
    rng = np.random.default_rng([seed, case])
    way = str(rng.choice(["bare", "qdq", "some", "float"], p=[0.4, 0.3, 0.2, 0.1]))
    opset = int(rng.integers(7, 26)) if rng.random() < 0.6 else int(rng.choice([13, 17, 18, 21]))
    rounding = {"bare": 0.0, "qdq": 0.95, "some": 0.5, "float": 0.0}[way]
    net = Net(rng, opset, rounding, plain=way == "float", exact=way == "bare")
    x = _start(net, way)
    net.pool = [x]
    wanted = net.some(1, 7)
    tries = 0
    while wanted and tries < 60:
        tries += 1
        source = net.pool[-1] if net.chance(0.75) else net.pick(net.pool)
        piece = OFTEN[int(rng.choice(len(OFTEN), p=WEIGHTS / WEIGHTS.sum()))][1]
        if piece is pieces.stored and way == "float":
            continue
        try:
            y = piece(net, source)
            if y not in net.live or net.values[y][0].dtype != np.float32 or y in net.pool:
                continue
            y = net.maybe(y)
        except Rejected:
            continue
        net.pool.append(y)
        wanted -= 1
    return Drawn(net, _end(net, way), way)


def _start(net: Net, way: str) -> str:
    shape = net.pick(SHAPES)
    if net.chance(0.15):
        shape = (1, *(net.some(1, 6) for _ in range(net.some(1, 3))))
    if net.chance(0.03):
        shape = (2, 3, 4)
    grid = (float(net.pick((1 / 32, 1 / 64, 0.02))), net.some(-40, 40))
    kind = TensorProto.FLOAT
    if way in ("qdq", "some") and net.chance(0.15):
        kind = net.pick((TensorProto.INT8, TensorProto.UINT8))
    elif net.chance(0.04):
        kind = net.pick((TensorProto.INT64, TensorProto.INT32))
        shape = (1, net.some(2, 6))
    x = net.start(shape, kind, grid)
    names = [np.float32(grid[0]), np.int8(grid[1])]
    if kind in (TensorProto.INT64, TensorProto.INT32):
        return net.maybe(net.node("Gather", [net.weight(6, 8), x]))
    if kind == TensorProto.UINT8:
        names[1] = np.uint8(grid[1] + 128)
    constants = [net.given(v) for v in names]
    if kind != TensorProto.FLOAT:
        y = net.node("DequantizeLinear", [x, *constants], net.domain())
        net.grids[y] = (x, constants[0], constants[1])
        return y
    if way == "float" or (way == "some" and net.chance(0.2)):
        return x
    q = net.node("QuantizeLinear", [x, *constants], net.domain())
    y = net.node("DequantizeLinear", [q, *constants], net.domain())
    net.grids[y] = (q, constants[0], constants[1])
    return y


def _end(net: Net, way: str) -> str:
    """The last value, often behind a head; rounded or not; without what it does not need."""
    y = net.pool[-1]
    try:
        if net.chance(0.4) and len(net.shape(y)) > 0:
            y = blocks.linear(net, y, net.some(1, 5))
        if way in ("qdq", "some") and net.chance(0.7) and y not in net.grids:
            y = net.pair(y)
        if net.chance(0.1):
            y = moves.reshape(net, y)
        if net.chance(0.05):
            y = net.node(net.pick(("Softmax", "LogSoftmax")), [y])
    except Rejected:
        y = net.pool[-1]
    if net.chance(0.9):
        net.needed(y)
    return y
