# SPDX-License-Identifier: Apache-2.0
"""Make encoders of the shapes of arXiv 2404.02945, with random weights and made-up signals."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from common import (  # noqa: E402
    F32,
    Block,
    ConvPatches,
    Encoder,
    LinearTokens,
    describe,
    export_and_quantise,
    run_onnx,
    save_samples,
    seed_everything,
)

SEED = 0
SAMPLES = 64
CALIBRATION = 64
SCORE_DEVIATION = 1.5
STEP = 1 / 16  # signals stand on this grid, as an ADC's would; it also keeps the files small


def on_grid(x: npt.NDArray[np.float64]) -> F32:
    """Round to the grid."""
    y: F32 = (np.round(x / STEP) * STEP).astype(np.float32)
    return y


def eeg(rng: np.random.Generator, count: int) -> F32:
    """Four channels, 640 samples: a rhythm shared by the channels in coloured noise."""
    time = np.arange(640) / 640
    rhythm = rng.uniform(4, 40, (count, 1, 1)) * time + rng.uniform(0, 1, (count, 4, 1))
    noise = rng.normal(size=(count, 4, 640))
    for i in range(1, 640):
        noise[:, :, i] = 0.9 * noise[:, :, i - 1] + np.sqrt(1 - 0.81) * noise[:, :, i]
    x = rng.uniform(0.5, 2, (count, 4, 1)) * np.sin(2 * np.pi * rhythm) + noise
    return on_grid(x)


def ecg(rng: np.random.Generator, count: int) -> F32:
    """One lead, 195 samples around a beat: P, QRS and T waves of random size, noise."""
    time = np.arange(195)
    x = 0.1 * rng.normal(size=(count, 195)) + rng.normal(0, 0.3, (count, 1))  # baseline wander
    for centre, width, height in ((60, 8, 0.4), (90, 3, -0.4), (97, 4, 1.2), (140, 10, 0.6)):
        at = centre + rng.normal(0, 4, (count, 1))
        wide = width * rng.uniform(0.7, 1.5, (count, 1))
        x += height * rng.uniform(0.2, 1.8, (count, 1)) * np.exp(-(((time - at) / wide) ** 2) / 2)
    return on_grid(x[:, None, :])


def radar(rng: np.random.Generator, count: int) -> F32:
    """Five frames of 64 range features: a blurred target that moves, on a noise floor."""
    bins, frames = np.arange(64), np.arange(5)[:, None]
    start = rng.uniform(10, 54, (count, 1, 1))
    speed = rng.uniform(-6, 6, (count, 1, 1))
    echo = np.exp(-(((bins - start - speed * frames) / 4) ** 2))
    x = rng.uniform(1, 4, (count, 1, 1)) * echo + 0.5 * rng.exponential(size=(count, 5, 64))
    return on_grid(x)


@dataclass(frozen=True)
class Shape:
    """One model of the paper: its signal and how to build it."""

    name: str
    signal: Callable[[np.random.Generator, int], F32]
    build: Callable[[], Encoder]


SHAPES = (
    Shape(
        "eegformer",
        eeg,
        lambda: Encoder(ConvPatches(4, 8, 32), 81, 32, 8, 32, 128, 2, norm="post", pool="class"),
    ),
    Shape(
        "ecgformer",
        ecg,
        lambda: Encoder(ConvPatches(1, 3, 16), 66, 16, 8, 2, 64, 5, norm="pre", pool="class"),
    ),
    Shape(
        "tinyradar",
        radar,
        lambda: Encoder(LinearTokens(5, 64, 32), 5, 32, 8, 32, 128, 11, norm="post", pool="mean"),
    ),
)


def resize(layer: nn.Linear | nn.Conv1d, factor: float) -> None:
    """Multiply a layer's output by a constant."""
    layer.weight *= factor
    if layer.bias is not None:
        layer.bias *= factor


def within_rows(scores: Tensor) -> float:
    """Deviation of the scores from their row's mean: what the softmax sees."""
    return float((scores - scores.mean(dim=-1, keepdim=True)).square().mean().sqrt())


def between_samples(x: Tensor) -> float:
    """Deviation over the samples, the part that carries information, averaged over the rest."""
    return float((x - x.mean(dim=0)).square().mean().sqrt())


@torch.no_grad()
def scale(model: Encoder, x: Tensor) -> float:
    """Scale random weights so that no stage is degenerate; return the scores' deviation."""
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            nn.init.normal_(module.weight, 1.0, 0.2)
            nn.init.normal_(module.bias, 0.0, 0.1)
        elif isinstance(module, nn.Linear | nn.Conv1d) and module.bias is not None:
            nn.init.normal_(module.weight, 0.0, module.weight[0].numel() ** -0.5)
            nn.init.normal_(module.bias, 0.0, 0.1)
    project = model.tokens.project
    assert isinstance(project, nn.Linear | nn.Conv1d)
    resize(project, 1 / float(model.tokens(x).std()))
    nn.init.normal_(model.positions, 0.0, 0.5)
    if model.pool == "class":
        nn.init.normal_(model.class_token, 0.0, 1.0)
    block = model.blocks[0]
    assert isinstance(block, Block)
    pre = block.norm == "pre"
    h = model.embed(x)
    normed = block.norm1(h) if pre else h
    resize(block.attention.q, SCORE_DEVIATION / within_rows(block.attention.scores(normed)))
    resize(block.attention.o, 1 / between_samples(block.attention(normed)))
    h = h + block.attention(normed)
    normed = block.norm2(h) if pre else block.norm1(h)
    resize(block.down, 1 / float(block.feed_forward(normed).std()))
    logits = model(x)
    factor = 2 / between_samples(logits)
    resize(model.classifier, factor)
    model.classifier.bias.sub_(factor * logits.mean(dim=0))
    return within_rows(
        block.attention.scores(block.norm1(model.embed(x)) if pre else model.embed(x))
    )


def main() -> None:
    """Make every file of the three folders."""
    for number, shape in enumerate(SHAPES):
        seed_everything(SEED + number)
        rng = np.random.default_rng(SEED + number)
        calibration, x = shape.signal(rng, CALIBRATION), shape.signal(rng, SAMPLES)
        model = shape.build().eval()
        deviation = scale(model, torch.from_numpy(calibration))
        folder = HERE / shape.name
        export_and_quantise(model, torch.from_numpy(x[:1]), calibration, folder, name=shape.name)
        labels = [run_onnx(folder / "float.onnx", s).argmax(axis=1) for s in (calibration, x)]
        save_samples(folder / "calibration.npz", calibration, labels[0])
        save_samples(folder / "samples.npz", x, labels[1])
        counts = np.bincount(labels[1], minlength=model.classifier.out_features).tolist()
        print(describe(folder, model))
        print(f"  scores within a row deviate by {deviation:.2f}; samples per class {counts}")


if __name__ == "__main__":
    main()
