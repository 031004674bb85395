# SPDX-License-Identifier: Apache-2.0
"""Labelled samples from a .npz file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen import reference
from tinygen.errors import TinygenError
from tinygen.graph import File, Float, Graph
from tinygen.graph.packed import samples_together
from tinygen.importer import load
from tinygen.passes import Imported, import_with_origins, short
from tinygen.passes.ends import without_batch

FLOAT32 = float(np.finfo(np.float32).max)
Samples = tuple[NDArray[np.float32], NDArray[np.int64] | None]


def load_samples(path: Path, graph: Graph) -> Samples:
    """x float32 [N, *input shape], of several inputs [N, elements of all]; y int64 [N], of several
    outputs [N, outputs] with -1 where there is no label; None without any.

    Raises `TinygenError` naming the file for anything else.
    """
    x, y = read_samples(path, wanted(graph), graph.name)
    if y is None:
        return x, y
    columns = y.reshape(len(y), -1)
    for i, end in enumerate(graph.outputs):
        mine = columns[:, i]
        size = math.prod(graph.values[end.value].shape)
        classes = max(2, size)  # one output says yes or no
        lowest = 0 if len(graph.outputs) == 1 else -1
        if mine.min() < lowest or mine.max() >= classes:
            where = graph.name if len(graph.outputs) == 1 else f"the output {end.name}"
            raise TinygenError(
                f"{path}: y holds labels from {mine.min()} to {mine.max()} but {where} has "
                f"{size} outputs: number the classes from 0 in the order of the outputs (0 and 1 "
                "for one output)"
            )
    return x, y


@dataclass(frozen=True)
class Wanted:
    """What a file of samples is to hold. inputs: name -> shape.  outputs: names.  file: what the
    model's file has beside."""

    inputs: Mapping[str, tuple[int, ...]]
    outputs: tuple[str, ...]
    file: File = field(default_factory=File)

    @property
    def labels(self) -> dict[str, int]:
        """Array of labels -> which output it is of: y_<output>, and y of the file's first."""
        found = {f"y_{name}": i for i, name in enumerate(self.outputs)}
        first = (self.file.outputs or self.outputs)[0]
        if first in self.outputs:
            found = {"y": self.outputs.index(first)} | found
        return found


def wanted(graph: Graph) -> Wanted:
    """Without batch axes, which the float graph still has."""
    whole = any(isinstance(n.op, Float) for n in graph.nodes)
    shapes = {i.name: graph.values[i.value].shape for i in graph.inputs}
    return Wanted(
        {name: without_batch(shape) if whole else shape for name, shape in shapes.items()},
        tuple(o.name for o in graph.outputs),
        graph.file,
    )


def import_for(
    model: Path, data: Path | None, *, name: str | None = None, outputs: Sequence[str] = ()
) -> Imported:
    """Import a model; scales that it lacks are chosen from the samples, if there are any."""
    if data is None:
        return import_with_origins(model, name=name, outputs=outputs)
    loaded = load(model, name=name, outputs=outputs)
    x, _ = read_samples(data, wanted(loaded), loaded.name)
    return import_with_origins(model, name=name, samples=x, outputs=outputs)


def shortened(graph: Graph, data: Path | None) -> Graph:
    """With short arithmetic, as far as the samples allow."""
    if data is None:
        return short.shorten(graph).graph
    x, _ = load_samples(data, graph)
    inputs = [reference.quantise(graph, sample) for sample in x[: short.MEASURED]]
    return short.shorten(graph, inputs).graph


def read_samples(path: Path, ends: Wanted, name: str) -> Samples:
    """As `load_samples`, for a model called ``name`` with these inputs and outputs."""
    arrays = _read(path)
    keys = {"x": next(iter(ends.inputs))} if len(ends.inputs) == 1 else {i: i for i in ends.inputs}
    if len(keys) == 1 and "x" not in arrays and keys["x"] in arrays:
        keys = {keys["x"]: keys["x"]}  # by its name in the model
    _refuse_missing(path, arrays, list(keys), name)
    parts = {
        key: _numbers(path, key, arrays[key], ends.inputs[entry], name)
        for key, entry in keys.items()
    }
    lengths = {len(part) for part in parts.values()}
    if len(lengths) > 1:
        counts = ", ".join(f"{key} {len(part)}" for key, part in parts.items())
        raise TinygenError(f"{path}: the inputs have different numbers of samples ({counts})")
    x = samples_together(list(parts.values()))
    if len(ends.inputs) > 1 or len(ends.outputs) > 1:
        _refuse_superfluous(path, arrays, ends)
    columns = np.full((len(x), len(ends.outputs)), -1, np.int64)
    found = [key for key in ends.labels if key in arrays and key not in keys]
    for key in found:
        columns[:, ends.labels[key]] = _labels(path, key, arrays[key], len(x))
    if not found:
        return x, None
    return x, columns[:, 0] if len(ends.outputs) == 1 else columns


def _refuse_superfluous(path: Path, arrays: Mapping[str, NDArray[Any]], ends: Wanted) -> None:
    """An array that is none of the model's may be one whose name is mistaken."""
    outputs = dict.fromkeys((*ends.outputs, *ends.file.outputs))
    known = {*ends.inputs, *ends.file.inputs, "x", "y", *(f"y_{name}" for name in outputs)}
    for key in arrays:
        if key not in known:
            labels = ", ".join(f"y_{name}" for name in ends.outputs)
            raise TinygenError(
                f"{path}: the array {key} is no input ({', '.join(ends.inputs)}) and no labels of "
                f"an output ({labels}): rename it, or leave it out"
            )


def _refuse_missing(
    path: Path, arrays: Mapping[str, NDArray[Any]], keys: Sequence[str], name: str
) -> None:
    found = ", ".join(sorted(arrays)) or "nothing"
    if len(keys) == 1 and keys[0] not in arrays:
        raise TinygenError(
            f"{path}: holds no array x (found {found}): save the "
            "inputs as x [N, ...] with numpy.savez"
        )
    for key in keys:
        if key not in arrays:
            raise TinygenError(
                f"{path}: holds no array {key}, which is an input of {name} (found {found}): save "
                f"each input under its name ({', '.join(keys)}) with numpy.savez"
            )


def _numbers(
    path: Path, key: str, x: NDArray[Any], shape: tuple[int, ...], name: str
) -> NDArray[np.float32]:
    """One input's samples [N, *shape]."""
    x = _apart(x, shape)
    if x.ndim < 1 or _wide(x.shape[1:]) != _wide(shape):
        raise TinygenError(
            f"{path}: {key} has the shape {list(x.shape)} but {name} takes "
            f"{['N', *shape]} (one row an input, no batch axis)".replace("'", "")
        )
    if len(x) == 0:
        raise TinygenError(f"{path}: {key} holds no samples: give at least one")
    if x.dtype.kind not in "fiub" or not np.isfinite(x).all():
        raise TinygenError(f"{path}: {key} must hold finite numbers (NaN or text found)")
    if x.dtype.kind == "f" and max(-float(x.min()), float(x.max())) > FLOAT32:
        raise TinygenError(
            f"{path}: {key} reaches beyond float32: scale the samples as in training"
        )
    return x.reshape(len(x), *shape).astype(np.float32)


def _labels(path: Path, key: str, y: NDArray[Any], count: int) -> NDArray[np.int64]:
    whole = y.dtype.kind in "iu" or (y.dtype.kind == "f" and bool((y == np.rint(y)).all()))
    if y.shape != (count,) or not whole:
        raise TinygenError(
            f"{path}: {key} must hold one integer label for each of the {count} rows of x, "
            f"not {y.dtype} {list(y.shape)}"
        )
    return y.astype(np.int64)


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
