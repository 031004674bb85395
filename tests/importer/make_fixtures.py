# SPDX-License-Identifier: Apache-2.0
"""Make the small ONNX fixtures of this folder; needs the extra `train`. Tests only read them.

Each fixture is one way of writing and quantising a random encoder: NAME.onnx, and in NAME.npz
samples ``x`` with the outputs ``logits`` that onnxruntime gives for them.
"""

from __future__ import annotations

import logging
import math
import sys
import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn
from torch.nn import functional

HERE = Path(__file__).resolve().parent / "fixtures"
TOKENS, EMBED, HEADS, HIDDEN, CLASSES = 6, 16, 2, 24, 5
SAMPLES, CALIBRATION = 32, 64


class Attention(nn.Module):
    """q, k, v apart or packed; the score scale and the splitting in one of several spellings."""

    def __init__(self, style: str) -> None:
        super().__init__()
        self.style = style
        self.packed = nn.Linear(EMBED, 3 * EMBED)
        self.q, self.k, self.v = (nn.Linear(EMBED, EMBED) for _ in range(3))
        self.o = nn.Linear(EMBED, EMBED)

    def forward(self, x: Tensor) -> Tensor:
        b, s, e = x.shape
        p = e // HEADS
        if self.style in ("chunk", "slice", "gather"):
            z = self.packed(x)
            if self.style == "chunk":
                q, k, v = z.chunk(3, dim=-1)
            elif self.style == "slice":
                q, k, v = z[..., :e], z[..., e : 2 * e], z[..., 2 * e :]
            else:
                three = z.reshape(b, s, 3, HEADS, p).permute(2, 0, 3, 1, 4)
                q, k, v = three[0], three[1], three[2]
        else:
            q, k, v = self.q(x), self.k(x), self.v(x)
        if self.style != "gather":
            q, k, v = (t.reshape(b, s, HEADS, p).transpose(1, 2) for t in (q, k, v))
        if self.style == "sdpa":
            mixed = functional.scaled_dot_product_attention(q, k, v)
        elif self.style == "mul_q":
            mixed = torch.softmax((q * p**-0.5) @ k.transpose(-2, -1), dim=-1) @ v
        elif self.style == "mul":
            mixed = torch.softmax((q @ k.transpose(-2, -1)) * p**-0.5, dim=-1) @ v
        else:
            mixed = torch.softmax(q @ k.transpose(-2, -1) / math.sqrt(p), dim=-1) @ v
        y: Tensor = self.o(mixed.transpose(1, 2).reshape(b, s, e))
        return y


class Block(nn.Module):
    def __init__(self, style: str, norm: str, act: nn.Module) -> None:
        super().__init__()
        self.pre = norm == "pre"
        self.attention = Attention(style)
        self.norm1, self.norm2 = nn.LayerNorm(EMBED), nn.LayerNorm(EMBED)
        self.up, self.act, self.down = nn.Linear(EMBED, HIDDEN), act, nn.Linear(HIDDEN, EMBED)

    def forward(self, x: Tensor) -> Tensor:
        if self.pre:
            x = x + self.attention(self.norm1(x))
            y: Tensor = x + self.down(self.act(self.up(self.norm2(x))))
            return y
        x = self.norm1(x + self.attention(x))
        z: Tensor = self.norm2(x + self.down(self.act(self.up(x))))
        return z


class TorchMha(nn.Module):
    """nn.MultiheadAttention in a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(EMBED)
        self.mha = nn.MultiheadAttention(EMBED, HEADS, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        n = self.norm(x)
        y: Tensor = x + self.mha(n, n, n, need_weights=False)[0]
        return y


class Encoder(nn.Module):
    def __init__(self, f: Fixture) -> None:
        super().__init__()
        self.f = f
        act = {"gelu": nn.GELU(), "tanh": nn.GELU(approximate="tanh"), "relu": nn.ReLU()}
        act["silu"] = nn.SiLU()
        self.embed: nn.Module
        if f.patches == "conv1d":
            self.embed = nn.Conv1d(3, EMBED, 4, stride=4)
        elif f.patches == "conv2d":
            self.embed = nn.Conv2d(2, EMBED, (4, 4), stride=(4, 4))
        elif f.patches == "overlap":
            self.embed = nn.Conv1d(3, EMBED, 5, stride=4, padding=1)
        else:
            self.embed = nn.Linear(4, EMBED)
        tokens = TOKENS + (f.pool == "class")
        self.token = nn.Parameter(torch.randn(1, 1, EMBED))
        self.positions = nn.Parameter(0.5 * torch.randn(1, tokens, EMBED))
        if f.style == "layer":
            self.blocks = nn.Sequential(
                nn.TransformerEncoderLayer(
                    EMBED,
                    HEADS,
                    HIDDEN,
                    activation=f.act,
                    batch_first=True,
                    norm_first=f.norm == "pre",
                )
            )
        elif f.style == "mha":
            self.blocks = nn.Sequential(TorchMha())
        else:
            self.blocks = nn.Sequential(
                *(Block(f.style, f.norm, act[f.act]) for _ in range(f.depth))
            )
        self.norm = nn.LayerNorm(EMBED)
        self.head = nn.Linear(EMBED, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        z = self.embed(x)
        if self.f.patches != "linear":
            z = z.flatten(2).transpose(1, 2)
        if self.f.pool == "class":
            z = torch.cat([self.token.expand(z.shape[0], -1, -1), z], dim=1)
        z = self.blocks(z + self.positions)
        if self.f.norm == "pre":
            z = self.norm(z)
        y: Tensor = self.head(z[:, 0] if self.f.pool == "class" else z.mean(dim=1))
        return y


@dataclass(frozen=True)
class Fixture:
    """One spelling. opset below 18 means the legacy exporter."""

    name: str
    opset: int = 20
    style: str = "div"
    norm: str = "pre"
    act: str = "gelu"
    patches: str = "linear"
    pool: str = "mean"
    depth: int = 1
    per_channel: bool = True
    prepared: bool = True
    activations: str = "int8"
    symmetric: bool = True
    softmax: bool = False
    dynamic: bool = False
    legacy: bool | None = None
    options: dict[str, Any] = field(default_factory=dict)


FIXTURES = (
    Fixture("dynamo20"),
    Fixture("dynamo18_tensor_raw", opset=18, per_channel=False, prepared=False, act="tanh"),
    Fixture("dynamo20_raw", prepared=False, style="mul", depth=2),
    Fixture("dynamo20_class_conv1d", patches="conv1d", pool="class", norm="post"),
    Fixture("dynamo18_conv2d_sdpa", opset=18, patches="conv2d", pool="class", style="sdpa"),
    Fixture("dynamo20_overlap", patches="overlap", act="silu", style="mul_q"),
    Fixture("dynamo20_asymmetric", symmetric=False, pool="class", patches="conv1d"),
    Fixture("dynamo20_uint8", activations="uint8", symmetric=False, act="relu"),
    Fixture("dynamo20_softmax", softmax=True),
    Fixture("dynamo20_chunk", style="chunk", per_channel=False),
    Fixture("dynamo20_gather", style="gather"),
    Fixture("dynamo20_mha", style="mha"),
    Fixture("dynamo20_layer", style="layer", norm="post", act="relu"),
    Fixture("legacy17", opset=17, pool="class", patches="conv1d"),
    Fixture("legacy17_raw", opset=17, prepared=False, norm="post", style="slice", act="relu"),
    Fixture("legacy17_dynamic", opset=17, dynamic=True, style="chunk"),
    Fixture("legacy17_layer", opset=17, style="layer", norm="pre", prepared=False),
    Fixture("legacy14", opset=14, prepared=False),
    Fixture("legacy14_asymmetric", opset=14, symmetric=False, norm="post", style="gather"),
)


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, x: np.ndarray[Any, Any]) -> None:
        self.rows = iter([{"input": row[None]} for row in x])

    def get_next(self) -> dict[str, Any] | None:
        return next(self.rows, None)


def input_shape(f: Fixture) -> tuple[int, ...]:
    if f.patches == "conv2d":
        return (2, 8, 12)
    return (TOKENS, 4) if f.patches == "linear" else (3, 4 * TOKENS)


def export(f: Fixture, model: nn.Module, example: Tensor, path: Path) -> None:
    kwargs: dict[str, Any] = {"input_names": ["input"], "output_names": ["logits"]}
    if f.opset < 18:
        if f.dynamic:
            kwargs["dynamic_axes"] = {"input": {0: "batch"}, "logits": {0: "batch"}}
        torch.onnx.export(
            model, (example,), str(path), opset_version=f.opset, dynamo=False, **kwargs
        )
    else:
        program = torch.onnx.export(
            model, (example,), dynamo=True, opset_version=f.opset, verbose=False, **kwargs
        )
        assert program is not None
        program.save(str(path))


def excluded(path: Path) -> list[str]:
    """The softmax and the product after it: their rounding to 8 bits only costs accuracy."""
    nodes = onnx.load(path).graph.node
    softmax = [n for n in nodes if n.op_type == "Softmax"]
    weights = {n.output[0] for n in softmax}
    return [n.name for n in (*softmax, *(m for m in nodes if set(m.input) & weights))]


def make(f: Fixture) -> None:
    torch.manual_seed(sum(map(ord, f.name)))
    rng = np.random.default_rng(sum(map(ord, f.name)))
    model = Encoder(f).eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.LayerNorm):
                module.weight.normal_(1, 0.2)
                module.bias.normal_(0, 0.2)
            elif isinstance(module, nn.Linear):
                module.weight.mul_(2.0)
    x = rng.normal(size=(SAMPLES + CALIBRATION, *input_shape(f))).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        plain, ready, out = (Path(folder, n) for n in ("f.onnx", "p.onnx", "q.onnx"))
        export(f, model, torch.from_numpy(x[:1]), plain)
        if f.prepared:
            quant_pre_process(str(plain), str(ready))
        else:
            ready = plain
        kind = QuantType.QInt8 if f.activations == "int8" else QuantType.QUInt8
        quantize_static(
            str(ready),
            str(out),
            _Reader(x[SAMPLES:]),
            quant_format=QuantFormat.QDQ,
            activation_type=kind,
            weight_type=QuantType.QInt8,
            per_channel=f.per_channel,
            nodes_to_exclude=[] if f.softmax else excluded(ready),
            extra_options={"ActivationSymmetric": f.symmetric, "WeightSymmetric": True},
        )
        result = onnx.load(out)
    del result.graph.value_info[:]
    for node in result.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    onnx.save(result, HERE / f"{f.name}.onnx")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(result.SerializeToString(), options)
    logits = [session.run(None, {"input": row[None]})[0][0] for row in x[:SAMPLES]]
    np.savez_compressed(HERE / f"{f.name}.npz", x=x[:SAMPLES], logits=np.stack(logits))


def main() -> None:
    """Make the fixtures named on the command line, or all."""
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    HERE.mkdir(exist_ok=True)
    chosen = sys.argv[1:]
    for f in FIXTURES:
        if not chosen or f.name in chosen:
            print(f.name, flush=True)
            make(f)


if __name__ == "__main__":
    main()
