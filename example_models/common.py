# SPDX-License-Identifier: Apache-2.0
"""Encoder blocks, training, export and int8 quantisation shared by the example models."""

from __future__ import annotations

import logging
import random
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import torch
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
Pool = Literal["mean", "class"]
Norm = Literal["pre", "post"]

OPSET = 20


def seed_everything(seed: int) -> None:
    """Make a run repeatable: one thread, one seed."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


class LinearTokens(nn.Module):
    """[B, S, D] tokens -> [B, S, E]; other inputs are reshaped to S tokens of D values first."""

    def __init__(self, tokens: int, width: int, embed: int) -> None:
        super().__init__()
        self.shape = (tokens, width)
        self.project = nn.Linear(width, embed)

    def forward(self, x: Tensor) -> Tensor:
        if tuple(x.shape[1:]) != self.shape:
            x = x.reshape(x.shape[0], *self.shape)
        y: Tensor = self.project(x)
        return y


class ConvPatches(nn.Module):
    """[B, C, T] signal -> [B, T / patch, E] with a Conv1d whose kernel is its stride."""

    def __init__(self, channels: int, patch: int, embed: int) -> None:
        super().__init__()
        self.project = nn.Conv1d(channels, embed, kernel_size=patch, stride=patch)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(x).transpose(1, 2)
        return y


class Attention(nn.Module):
    """Multi-head self-attention with separate projections; heads x head_dim need not be embed."""

    def __init__(self, embed: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads, self.head_dim = heads, head_dim
        self.q = nn.Linear(embed, heads * head_dim)
        self.k = nn.Linear(embed, heads * head_dim)
        self.v = nn.Linear(embed, heads * head_dim)
        self.o = nn.Linear(heads * head_dim, embed)

    def split(self, x: Tensor) -> Tensor:
        """[B, S, H * P] -> [B, H, S, P]."""
        return x.reshape(x.shape[0], x.shape[1], self.heads, self.head_dim).transpose(1, 2)

    def scores(self, x: Tensor) -> Tensor:
        """Scaled scores before the softmax, [B, H, S, S]."""
        q, k = self.split(self.q(x)), self.split(self.k(x))
        y: Tensor = q @ k.transpose(-1, -2) * float(self.head_dim) ** -0.5
        return y

    def forward(self, x: Tensor) -> Tensor:
        context = torch.softmax(self.scores(x), dim=-1) @ self.split(self.v(x))
        context = context.transpose(1, 2).reshape(
            x.shape[0], x.shape[1], self.heads * self.head_dim
        )
        y: Tensor = self.o(context)
        return y


class Block(nn.Module):
    """Attention and a GELU feed-forward, each with a residual, normalised before or after."""

    def __init__(
        self, embed: int, heads: int, head_dim: int, hidden: int, norm: Norm, dropout: float
    ) -> None:
        super().__init__()
        self.norm = norm
        self.attention = Attention(embed, heads, head_dim)
        self.up = nn.Linear(embed, hidden)
        self.down = nn.Linear(hidden, embed)
        self.norm1 = nn.LayerNorm(embed)
        self.norm2 = nn.LayerNorm(embed)
        self.dropout = nn.Dropout(dropout)

    def feed_forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.down(nn.functional.gelu(self.up(x)))
        return y

    def forward(self, x: Tensor) -> Tensor:
        if self.norm == "pre":
            x = x + self.dropout(self.attention(self.norm1(x)))
            y: Tensor = x + self.dropout(self.feed_forward(self.norm2(x)))
            return y
        x = self.norm1(x + self.dropout(self.attention(x)))
        y = self.norm2(x + self.dropout(self.feed_forward(x)))
        return y


class Encoder(nn.Module):
    """Tokens, optional class token, learned positions, blocks, pooling, classifier."""

    def __init__(
        self,
        tokens: nn.Module,
        sequence: int,
        embed: int,
        heads: int,
        head_dim: int,
        hidden: int,
        classes: int,
        blocks: int = 1,
        norm: Norm = "pre",
        pool: Pool = "mean",
        dropout: float = 0.0,
    ) -> None:
        """`sequence` counts the class token, if there is one."""
        super().__init__()
        self.tokens = tokens
        self.pool = pool
        if pool == "class":
            self.class_token = nn.Parameter(torch.randn(1, 1, embed) * 0.02)
        self.positions = nn.Parameter(torch.randn(1, sequence, embed) * 0.02)
        self.blocks = nn.ModuleList(
            Block(embed, heads, head_dim, hidden, norm, dropout) for _ in range(blocks)
        )
        self.final = nn.LayerNorm(embed) if norm == "pre" else nn.Identity()
        self.classifier = nn.Linear(embed, classes)

    def embed(self, x: Tensor) -> Tensor:
        """Input -> [B, S, E], positions added."""
        x = self.tokens(x)
        if self.pool == "class":
            x = torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], dim=1)
        return x + self.positions

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        for block in self.blocks:
            x = block(x)
        x = self.final(x)
        x = x[:, 0] if self.pool == "class" else x.mean(dim=1)
        y: Tensor = self.classifier(x)
        return y


def parameters(model: nn.Module) -> int:
    """Count the trained values."""
    return sum(p.numel() for p in model.parameters())


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, name: str, samples: F32) -> None:
        self.feeds = iter([{name: samples[i : i + 1]} for i in range(len(samples))])

    def get_next(self) -> dict[str, F32] | None:
        return next(self.feeds, None)


def _clean(model: onnx.ModelProto) -> None:
    """Drop doc strings and metadata (stack traces with local paths) and unused operator sets."""
    used = {n.domain for n in model.graph.node}
    operator_sets = [o for o in model.opset_import if o.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(operator_sets)
    model.doc_string = ""
    del model.metadata_props[:]
    holders: list[Any] = [model.graph, *model.graph.node, *model.graph.initializer]
    holders += [*model.graph.input, *model.graph.output, *model.graph.value_info]
    for holder in holders:
        holder.doc_string = ""
        del holder.metadata_props[:]


def _save(model: onnx.ModelProto, path: Path) -> None:
    _clean(model)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def export_and_quantise(
    model: nn.Module,
    example_input: Tensor,
    calibration: F32,
    out_dir: Path,
    *,
    name: str,
    method: CalibrationMethod = CalibrationMethod.MinMax,
) -> None:
    """Write `out_dir`/float.onnx (opset 20, batch 1) and `out_dir`/model.onnx (int8 QDQ)."""
    out_dir.mkdir(parents=True, exist_ok=True)
    model.eval()
    logging.disable(logging.WARNING)  # one-line notes of both tools on LayerNorm and versions
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model,
            (example_input,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["input"],
            output_names=["logits"],
            verbose=False,
        )
    assert program is not None
    exported = program.model_proto
    exported.graph.name = name
    _save(exported, out_dir / "float.onnx")
    with tempfile.TemporaryDirectory() as scratch:
        prepared, quantised = Path(scratch, "prepared.onnx"), Path(scratch, "quantised.onnx")
        quant_pre_process(str(out_dir / "float.onnx"), str(prepared))
        quantize_static(
            str(prepared),
            str(quantised),
            _Reader("input", calibration),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            calibrate_method=method,
            extra_options={"ActivationSymmetric": True, "WeightSymmetric": True},
            nodes_to_exclude=_probabilities(onnx.load(str(prepared))),
        )
        result = onnx.load(str(quantised))
    logging.disable(logging.NOTSET)
    result.graph.name = name
    _save(result, out_dir / "model.onnx")


def _probabilities(model: onnx.ModelProto) -> list[str]:
    """Softmax and the product that reads it stay float: 7 bits of probability lose more than all
    other roundings together, and integer attention does not round there."""
    names = []
    for softmax in (n for n in model.graph.node if n.op_type == "Softmax"):
        readers = [n.name for n in model.graph.node if softmax.output[0] in n.input]
        names += [softmax.name, *readers]
    return names


def run_onnx(path: Path, x: F32) -> F32:
    """Feed samples to an ONNX file one at a time, on the CPU, no graph rewriting."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feed = session.get_inputs()[0].name
    rows: Sequence[F32] = [session.run(None, {feed: x[i : i + 1]})[0][0] for i in range(len(x))]
    return np.stack(rows)


@dataclass(frozen=True)
class Measured:
    """What the two ONNX files do on one set of samples."""

    float_accuracy: float
    int8_accuracy: float
    agreement: float
    samples: int


def save_samples(path: Path, x: F32, y: I64) -> None:
    """Write an .npz with `x` [N, ...] float32 and `y` [N] int64."""
    np.savez_compressed(path, x=x.astype(np.float32), y=y.astype(np.int64))


def measure(folder: Path) -> Measured:
    """Accuracy of float.onnx and model.onnx on samples.npz, with onnxruntime."""
    with np.load(folder / "samples.npz") as data:
        x, y = data["x"], data["y"]
    f = run_onnx(folder / "float.onnx", x).argmax(axis=1)
    q = run_onnx(folder / "model.onnx", x).argmax(axis=1)
    return Measured(float((f == y).mean()), float((q == y).mean()), float((f == q).mean()), len(y))


def describe(folder: Path, model: nn.Module) -> str:
    """One paragraph for the terminal: accuracies, parameters, operators."""
    m = measure(folder)
    ops = Counter(n.op_type for n in onnx.load(str(folder / "model.onnx")).graph.node)
    return (
        f"{folder.name}: float {m.float_accuracy:.4f}, int8 {m.int8_accuracy:.4f}, "
        f"agreement {m.agreement:.4f} on {m.samples} samples (onnxruntime {ort.__version__}); "
        f"{parameters(model)} parameters\n  "
        + ", ".join(f"{op} {count}" for op, count in sorted(ops.items()))
    )


def train(
    model: nn.Module,
    x: F32,
    y: I64,
    *,
    epochs: int,
    batch: int,
    rate: float,
    weight_decay: float = 0.01,
    smoothing: float = 0.05,
    augment: Callable[[Tensor], Tensor] | None = None,
) -> None:
    """AdamW with a one-cycle schedule; the last epoch's weights are kept, nothing is selected."""
    inputs, labels = torch.from_numpy(x), torch.from_numpy(y)
    steps = -(-len(x) // batch)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=epochs * steps)
    loss = nn.CrossEntropyLoss(label_smoothing=smoothing)
    model.train()
    for _ in range(epochs):
        order = torch.randperm(len(x))
        for start in range(0, len(x), batch):
            chosen = order[start : start + batch]
            samples = inputs[chosen]
            if augment is not None:
                samples = augment(samples)
            optimiser.zero_grad()
            loss(model(samples), labels[chosen]).backward()
            optimiser.step()
            schedule.step()
    model.eval()
