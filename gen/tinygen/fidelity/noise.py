# SPDX-License-Identifier: Apache-2.0
"""Signal-to-noise ratio per layer between a float ONNX model and its quantised form."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from tinygen.fidelity.compare import fed, session_with_outputs

SKIPPED = {"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Identity", "Constant", "Gather"}
SKIPPED |= {"Slice", "Split", "Flatten", "Dropout", "Expand", "Shape"}
SAMPLES = 64
"""Samples looked at, at most: the ratio settles long before."""
CEILING = 120.0
"""Decibels shown for a layer without any difference."""


@dataclass(frozen=True)
class LayerNoise:
    """snr_db: signal to noise of the layer's output.

    lost_db: how much less than that of its noisiest input: the layer where accuracy is lost has
    the largest.
    """

    name: str
    op: str
    snr_db: float
    lost_db: float


def layer_noise(prepared: Path, quantised: Path, x: NDArray[Any]) -> list[LayerNoise]:
    """Every operator that computes, in order. Tensors keep their names when quantised."""
    plain, rounded = onnx.load(str(prepared)), onnx.load(str(quantised))
    made = {o for n in rounded.graph.node for o in n.output}
    pairs = {}
    for node in plain.graph.node:
        for name in node.output:
            after = f"{name}_DequantizeLinear_Output"
            if after in made or name in made:
                pairs[name] = after if after in made else name
    ratios = _ratios(plain, rounded, pairs, x[:SAMPLES])
    noise = []
    for node in plain.graph.node:
        name = node.output[0]
        if name not in ratios:
            continue
        before = min((ratios[i] for i in node.input if i in ratios), default=CEILING)
        if node.op_type not in SKIPPED:
            lost = before - ratios[name]
            noise.append(LayerNoise(node.name, node.op_type, ratios[name], lost))
    return noise


def _ratios(
    plain: onnx.ModelProto, rounded: onnx.ModelProto, pairs: dict[str, str], x: NDArray[Any]
) -> dict[str, float]:
    names = list(pairs)
    first, second = (
        session_with_outputs(plain, names),
        session_with_outputs(rounded, list(pairs.values())),
    )
    signal, noise = np.zeros(len(names)), np.zeros(len(names))
    for sample in x:
        a = first.run(names, fed(first, sample))
        b = second.run(list(pairs.values()), fed(second, sample))
        for i, (u, v) in enumerate(zip(a, b, strict=True)):
            if u.dtype == np.float32 and u.shape == v.shape:
                seen = np.isfinite(u) & np.isfinite(v)  # a mask may hold minus infinity
                signal[i] += float(np.square(u[seen], dtype=np.float64).sum())
                noise[i] += float(np.square(u[seen].astype(np.float64) - v[seen]).sum())
    return {n: _decibels(s, e) for n, s, e in zip(names, signal, noise, strict=True) if s > 0}


def _decibels(signal: float, noise: float) -> float:
    return CEILING if noise <= signal * 1e-12 else float(10 * np.log10(signal / noise))
