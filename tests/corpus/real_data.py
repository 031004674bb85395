# SPDX-License-Identifier: Apache-2.0
"""Encoders trained on data that packages hold; needs the extra `train`.

vit: scikit-learn's 8x8 digits, Conv2d patches of 2x2, a class token.  leaf: aeon's OSULeaf, the
outlines of leaves of six species, 427 values, overlapping Conv1d patches: 213 tokens.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "example_models"))

from common import Encoder, seed_everything, train

Array = np.ndarray[Any, Any]
NETS = ("vit", "leaf")
TEST = 256


class Conv2dPatches(nn.Module):
    """[B, H, W] -> [B, H W / 4, E]."""

    def __init__(self, embed: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(1, embed, kernel_size=2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(x.unsqueeze(1)).flatten(2).transpose(1, 2)
        return y


class OverlappingPatches(nn.Module):
    """[B, 1, T] -> [B, T / 2, E]; each token sees 16 values."""

    def __init__(self, embed: int) -> None:
        super().__init__()
        self.project = nn.Conv1d(1, embed, kernel_size=16, stride=2, padding=7)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(x).transpose(1, 2)
        return y


def split(x: Array, y: Array) -> tuple[Array, Array, Array, Array]:
    """Training samples and labels, then those of the test; x as float16 holds it."""
    x = x.astype(np.float16).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order], y[order].astype(np.int64)
    return x[TEST:], y[TEST:], x[:TEST], y[:TEST]


def data(net: str) -> tuple[Array, Array, Array, Array]:
    if net == "vit":
        from sklearn.datasets import load_digits

        digits = load_digits()
        return split(digits.images / 16, digits.target)
    from aeon.datasets import load_classification

    x, names = load_classification("OSULeaf")
    return split(x.astype(np.float32), np.unique(names, return_inverse=True)[1])


def turned(x: Tensor) -> Tensor:
    """An outline begins anywhere."""
    shifts = torch.randint(x.shape[2], (len(x),))
    index = (torch.arange(x.shape[2]) + shifts[:, None]) % x.shape[2]
    x = torch.gather(x, 2, index[:, None])
    return x + 0.03 * torch.randn_like(x)


def trained(net: str) -> nn.Module:
    seed_everything(0)
    x, y, _, _ = data(net)
    if net == "vit":
        model = Encoder(
            Conv2dPatches(32), 17, embed=32, heads=4, head_dim=8, hidden=64, classes=10, blocks=2,
            norm="pre", pool="class", dropout=0.05,
        )  # fmt: skip
        train(model, x, y, epochs=40, batch=64, rate=3e-3)
        return model
    model = Encoder(
        OverlappingPatches(24), 213, embed=24, heads=3, head_dim=8, hidden=48, classes=6, blocks=1,
        norm="pre", pool="mean", dropout=0.05,
    )  # fmt: skip
    train(model, x, y, epochs=200, batch=31, rate=4e-3, augment=turned)
    return model
