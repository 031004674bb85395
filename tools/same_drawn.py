# SPDX-License-Identifier: Apache-2.0
"""The random graphs of tests/fuzz as files: operators that no example and no corpus model has."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))  # before tools, which has a fuzz.py


def write_drawn(number: int, model: Path, samples: Path) -> bool:
    """Always the same for the same number; whether the model is to be quantised."""
    from fuzz.draw import draw

    drawn = draw(0, number)
    model.write_bytes(drawn.model.SerializeToString())
    rows = drawn.net.values[drawn.net.input]
    np.savez(samples, x=np.stack([r[0] if r.ndim > 1 and r.shape[0] == 1 else r for r in rows]))
    return drawn.way == "float"
