# SPDX-License-Identifier: Apache-2.0
"""Labelled samples from a .npz file."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.errors import TinygenError
from tinygen.graph import Graph


def load_samples(path: Path, graph: Graph) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
    """x float32 [N, *input shape] and y int64 [N] or None.

    Raises `TinygenError` naming the file for anything else.
    """
    arrays = _read(path)
    if "x" not in arrays:
        raise TinygenError(
            f"{path}: holds no array x (found {', '.join(sorted(arrays)) or 'nothing'}): save the "
            "inputs as x [N, ...] with numpy.savez"
        )
    x = arrays["x"]
    shape = graph.values[graph.input].shape
    if x.ndim < 1 or x.shape[1:] not in (shape, (1, *shape)):
        raise TinygenError(
            f"{path}: x has the shape {list(x.shape)} but {graph.name} takes "
            f"{['N', *shape]} (one row an input, no batch axis)".replace("'", "")
        )
    if len(x) == 0:
        raise TinygenError(f"{path}: x holds no samples: give at least one")
    if x.dtype.kind not in "fiub" or not np.isfinite(x).all():
        raise TinygenError(f"{path}: x must hold finite numbers (NaN or text found)")
    x = x.reshape(len(x), *shape).astype(np.float32)
    if "y" not in arrays:
        return x, None
    y = arrays["y"]
    if y.shape != (len(x),) or y.dtype.kind not in "iu":
        raise TinygenError(
            f"{path}: y must hold one integer label for each of the {len(x)} rows of x, "
            f"not {y.dtype} {list(y.shape)}"
        )
    return x, y.astype(np.int64)


def _read(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("a single array")
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as e:
        reason = e.strerror if isinstance(e, OSError) and e.strerror else "not a readable .npz file"
        raise TinygenError(f"{path}: {reason}: save x [N, ...] with numpy.savez") from None
