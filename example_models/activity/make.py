# SPDX-License-Identifier: Apache-2.0
"""Train, export and quantise the activity example (BasicMotions, as shipped with aeon)."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from aeon.datasets import load_basic_motions
from torch import Tensor

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from common import (  # noqa: E402
    F32,
    I64,
    ConvPatches,
    Encoder,
    describe,
    export_and_quantise,
    save_samples,
    seed_everything,
    train,
)

SEED = 0
CLASSES = ("badminton", "running", "standing", "walking")


def data(split: str) -> tuple[F32, I64]:
    """[N, 6, 100] accelerometer and gyroscope values as the data set gives them; labels 0 to 3."""
    x, names = load_basic_motions(split=split)
    return x.astype(np.float32), np.array([CLASSES.index(n) for n in names], dtype=np.int64)


def perturb(x: Tensor) -> Tensor:
    """Rotate each sample in time, scale it, add noise."""
    start = torch.randint(0, x.shape[2], (len(x), 1, 1))
    moved = x.gather(2, ((start + torch.arange(x.shape[2])) % x.shape[2]).expand(-1, 6, -1))
    scale = 1.0 + 0.15 * torch.randn(len(x), 1, 1)
    return moved * scale + 0.1 * torch.randn_like(moved)


def build() -> Encoder:
    """Ten patches of ten samples and a class token; pre-norm."""
    return Encoder(
        ConvPatches(6, 10, 32),
        sequence=11,
        embed=32,
        heads=4,
        head_dim=8,
        hidden=64,
        classes=4,
        norm="pre",
        pool="class",
        dropout=0.1,
    )


def main() -> None:
    """Make every file of this folder."""
    seed_everything(SEED)
    train_x, train_y = data("train")
    test_x, test_y = data("test")
    model = build()
    # Trained on unit-variance channels; the scaling is folded into the patch embedding.
    deviation = train_x.std(axis=(0, 2), keepdims=True)
    train(model, train_x / deviation, train_y, epochs=200, batch=10, rate=2e-3, augment=perturb)
    assert isinstance(model.tokens, ConvPatches)
    with torch.no_grad():
        model.tokens.project.weight /= torch.from_numpy(deviation)
    save_samples(HERE / "samples.npz", test_x, test_y)
    save_samples(HERE / "calibration.npz", train_x, train_y)
    export_and_quantise(model, torch.from_numpy(test_x[:1]), train_x, HERE, name="activity")
    print(describe(HERE, model))


if __name__ == "__main__":
    main()
