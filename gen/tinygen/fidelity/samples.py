# SPDX-License-Identifier: Apache-2.0
"""Labelled samples from a .npz file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen import reference
from tinygen.errors import TinygenError
from tinygen.graph import Graph
from tinygen.importer import load
from tinygen.passes import Imported, import_with_origins, short
from tinygen.passes.ends import without_batch

FLOAT32 = float(np.finfo(np.float32).max)
Samples = tuple[NDArray[np.float32], NDArray[np.int64] | None]


def load_samples(path: Path, graph: Graph) -> Samples:
    """x float32 [N, *input shape] and y int64 [N] or None.

    Raises `TinygenError` naming the file for anything else.
    """
    x, y = read_samples(path, graph.values[graph.input].shape, graph.name)
    outputs = math.prod(graph.values[graph.output].shape)
    classes = max(2, outputs)  # one output says yes or no
    if y is not None and (y.min() < 0 or y.max() >= classes):
        raise TinygenError(
            f"{path}: y holds labels from {y.min()} to {y.max()} but {graph.name} has "
            f"{outputs} outputs: number the classes from 0 in the order of the outputs (0 and 1 "
            "for one output)"
        )
    return x, y


def import_for(model: Path, data: Path | None, *, name: str | None = None) -> Imported:
    """Import a model; scales that it lacks are chosen from the samples, if there are any."""
    if data is None:
        return import_with_origins(model, name=name)
    loaded = load(model, name=name)
    shape = without_batch(loaded.values[loaded.input].shape)
    x, _ = read_samples(data, shape, loaded.name)
    return import_with_origins(model, name=name, samples=x)


def shortened(graph: Graph, data: Path | None) -> Graph:
    """With short arithmetic, as far as the samples allow."""
    if data is None:
        return short.shorten(graph).graph
    x, _ = load_samples(data, graph)
    inputs = [reference.quantise(graph, sample) for sample in x[: short.MEASURED]]
    return short.shorten(graph, inputs).graph


def read_samples(path: Path, shape: tuple[int, ...], name: str) -> Samples:
    """As `load_samples`, for a model called ``name`` whose input has this shape."""
    arrays = _read(path)
    if "x" not in arrays:
        raise TinygenError(
            f"{path}: holds no array x (found {', '.join(sorted(arrays)) or 'nothing'}): save the "
            "inputs as x [N, ...] with numpy.savez"
        )
    x = _apart(arrays["x"], shape)
    if x.ndim < 1 or _wide(x.shape[1:]) != _wide(shape):
        raise TinygenError(
            f"{path}: x has the shape {list(x.shape)} but {name} takes "
            f"{['N', *shape]} (one row an input, no batch axis)".replace("'", "")
        )
    if len(x) == 0:
        raise TinygenError(f"{path}: x holds no samples: give at least one")
    if x.dtype.kind not in "fiub" or not np.isfinite(x).all():
        raise TinygenError(f"{path}: x must hold finite numbers (NaN or text found)")
    if x.dtype.kind == "f" and max(-float(x.min()), float(x.max())) > FLOAT32:
        raise TinygenError(f"{path}: x reaches beyond float32: scale the samples as in training")
    x = x.reshape(len(x), *shape).astype(np.float32)
    if "y" not in arrays:
        return x, None
    y = arrays["y"]
    whole = y.dtype.kind in "iu" or (y.dtype.kind == "f" and bool((y == np.rint(y)).all()))
    if y.shape != (len(x),) or not whole:
        raise TinygenError(
            f"{path}: y must hold one integer label for each of the {len(x)} rows of x, "
            f"not {y.dtype} {list(y.shape)}"
        )
    return x, y.astype(np.int64)


def _apart(x: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Inputs that lie one after another along the first axis of a model without a batch axis."""
    if len(shape) > 1 and x.shape[1:] == shape[1:] and x.shape[0] % shape[0] == 0:
        return x.reshape(-1, *shape)
    return x


def _wide(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Without axes of one element: it does not matter where a batch of one stands."""
    return tuple(n for n in shape if n != 1)


def _read(path: Path) -> dict[str, NDArray[Any]]:
    if not path.is_file():
        raise TinygenError(f"{path}: no such file")
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise ValueError("a single array")
        with loaded as archive:
            found = {name: archive[name] for name in archive.files}
            return {k: v for k, v in found.items() if isinstance(v, np.ndarray)}
    except Exception:  # a damaged header makes numpy raise what its parsers happen to raise
        raise TinygenError(
            f"{path}: not a readable .npz file: save x [N, ...] with numpy.savez"
        ) from None
