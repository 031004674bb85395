# SPDX-License-Identifier: Apache-2.0
"""Train, export and quantise the digits example (scikit-learn's 8x8 handwritten digits)."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from common import (  # noqa: E402
    F32,
    I64,
    Encoder,
    LinearTokens,
    describe,
    export_and_quantise,
    save_samples,
    seed_everything,
    train,
)

SEED = 0


def data() -> tuple[F32, F32, I64, I64]:
    """Images in [0, 1], [N, 8, 8]; 1437 to train, 360 to test, stratified."""
    digits = load_digits()
    x = (digits.images / 16.0).astype(np.float32)
    y = digits.target.astype(np.int64)
    train_x, test_x, train_y, test_y = train_test_split(
        x, y, test_size=360, random_state=0, stratify=y
    )
    return train_x, test_x, train_y, test_y


def shift(x: Tensor) -> Tensor:
    """Move each image by -1, 0 or 1 pixel in both directions, and add a little noise."""
    padded = torch.nn.functional.pad(x, (1, 1, 1, 1))
    weights = torch.tensor([0.2, 0.6, 0.2])
    down = torch.multinomial(weights, len(x), replacement=True)
    right = torch.multinomial(weights, len(x), replacement=True)
    rows = (down[:, None] + torch.arange(8))[:, :, None]
    columns = (right[:, None] + torch.arange(8))[:, None, :]
    moved = padded[torch.arange(len(x))[:, None, None], rows, columns]
    return (moved + 0.03 * torch.randn_like(moved)).clamp(0.0, 1.0)


def build(blocks: int = 1) -> Encoder:
    """Eight rows of eight pixels are eight tokens; pre-norm, mean pooling."""
    return Encoder(
        LinearTokens(8, 8, 32),
        sequence=8,
        embed=32,
        heads=4,
        head_dim=8,
        hidden=64,
        classes=10,
        blocks=blocks,
        norm="pre",
        pool="mean",
        dropout=0.05,
    )


def main() -> None:
    """Make every file of this folder."""
    seed_everything(SEED)
    train_x, test_x, train_y, test_y = data()
    model = build()
    train(model, train_x, train_y, epochs=120, batch=64, rate=4e-3, augment=shift)
    save_samples(HERE / "samples.npz", test_x, test_y)
    save_samples(HERE / "calibration.npz", train_x[:128], train_y[:128])
    example = torch.from_numpy(test_x[:1])
    export_and_quantise(model, example, train_x[:128], HERE, name="digits")
    print(describe(HERE, model))


if __name__ == "__main__":
    main()
