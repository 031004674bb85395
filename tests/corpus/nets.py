# SPDX-License-Identifier: Apache-2.0
"""Small encoders in the spellings that users write, for make.py; needs the extra `train`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

TOKENS, EMBED, HIDDEN, CLASSES = 6, 16, 24, 5


@dataclass(frozen=True)
class Net:
    """One architecture. attention: div, mul, mul_q, mul_both, sdpa, chunk, slice, gather, mha,
    layer.  norm: pre, post, batch (post), spelled.  mask: causal (minus infinity in the place of
    later tokens' scores), padding (-10,000 added to those of the last two tokens), bias (-9 added).
    """

    attention: str = "div"
    norm: str = "pre"
    act: str = "gelu"
    patches: str = "linear"
    pool: str = "mean"
    depth: int = 1
    heads: int = 2
    bias: bool = True
    mask: str = ""
    plain: bool = False


ACTS: dict[str, Callable[[], nn.Module]] = {
    "gelu": nn.GELU,
    "tanh": lambda: nn.GELU(approximate="tanh"),
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "hardswish": nn.Hardswish,
}


class Attention(nn.Module):
    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net
        if net.attention in ("chunk", "slice", "gather"):
            self.packed = nn.Linear(EMBED, 3 * EMBED, bias=net.bias)
        else:
            self.q, self.k, self.v = (nn.Linear(EMBED, EMBED, bias=net.bias) for _ in range(3))
        self.o = nn.Linear(EMBED, EMBED, bias=net.bias)
        later = torch.triu(torch.ones(TOKENS, TOKENS, dtype=torch.bool), 1)
        last = torch.arange(TOKENS) >= TOKENS - 2
        masks = {"causal": later, "padding": -1e4 * last, "bias": -9.0 * later}
        if net.mask:
            self.register_buffer("mask", masks[net.mask])

    def project(self, x: Tensor) -> tuple[Tensor, ...]:
        """q, k, v as [B, H, S, P]; [B, S, E] with one head."""
        b, s, e = x.shape
        style, heads = self.net.attention, self.net.heads
        if style == "gather":
            three = self.packed(x).reshape(b, s, 3, heads, e // heads).permute(2, 0, 3, 1, 4)
            return three[0], three[1], three[2]
        if style == "chunk":
            parts = self.packed(x).chunk(3, dim=-1)
        elif style == "slice":
            z = self.packed(x)
            parts = z[..., :e], z[..., e : 2 * e], z[..., 2 * e :]
        else:
            parts = self.q(x), self.k(x), self.v(x)
        if heads == 1:
            return tuple(parts)
        return tuple(t.reshape(b, s, heads, e // heads).transpose(1, 2) for t in parts)

    def forward(self, x: Tensor) -> Tensor:
        style, scale = self.net.attention, (EMBED // self.net.heads) ** -0.5
        q, k, v = self.project(x)
        if style == "sdpa":
            mask = ~self.mask if self.net.mask else None
            mixed = functional.scaled_dot_product_attention(q, k, v, mask)
        else:
            if style == "mul_both":
                scores = (q * math.sqrt(scale)) @ (k * math.sqrt(scale)).transpose(-2, -1)
            elif style == "mul_q":
                scores = (q * scale) @ k.transpose(-2, -1)
            elif style == "mul":
                scores = (q @ k.transpose(-2, -1)) * scale
            else:
                scores = q @ k.transpose(-2, -1) / (1 / scale)
            if self.net.mask == "causal":
                scores = scores.masked_fill(self.mask, -math.inf)
            elif self.net.mask:
                scores = scores + self.mask
            mixed = torch.softmax(scores, dim=-1) @ v
        y: Tensor = self.o(mixed if self.net.heads == 1 else mixed.transpose(1, 2).reshape(x.shape))
        return y


class TokenBatchNorm(nn.Module):
    """BatchNorm over the features of tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(EMBED)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(x.transpose(1, 2)).transpose(1, 2)
        return y


class Block(nn.Module):
    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net
        self.attention = Attention(net)
        make: Callable[[], nn.Module] = (
            TokenBatchNorm if net.norm == "batch" else lambda: nn.LayerNorm(EMBED)
        )
        self.norm1, self.norm2 = make(), make()
        self.up, self.down = nn.Linear(EMBED, HIDDEN, net.bias), nn.Linear(HIDDEN, EMBED, net.bias)
        self.act = ACTS[net.act]()

    def forward(self, x: Tensor) -> Tensor:
        if self.net.norm == "pre":
            x = x + self.attention(self.norm1(x))
            y: Tensor = x + self.down(self.act(self.up(self.norm2(x))))
            return y
        x = self.norm1(x + self.attention(x))
        y = self.norm2(x + self.down(self.act(self.up(x))))
        return y


class TorchMha(nn.Module):
    """nn.MultiheadAttention in a residual."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(EMBED)
        self.mha = nn.MultiheadAttention(EMBED, net.heads, bias=net.bias, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        n = self.norm(x)
        y: Tensor = x + self.mha(n, n, n, need_weights=False)[0]
        return y


def block(net: Net) -> nn.Module:
    if net.attention == "mha":
        return TorchMha(net)
    if net.attention == "layer":
        pre = net.norm == "pre"
        return nn.TransformerEncoderLayer(
            EMBED, net.heads, HIDDEN, 0.0, net.act, batch_first=True, norm_first=pre, bias=net.bias
        )
    return Block(net)


def stem(net: Net) -> nn.Module:
    match net.patches:
        case "conv1d":
            return nn.Conv1d(3, EMBED, 4, stride=4, bias=net.bias)
        case "overlap":
            return nn.Conv1d(3, EMBED, 5, stride=4, padding=1)
        case "conv2d":
            return nn.Conv2d(2, EMBED, (4, 4), stride=(4, 4))
        case "deep":
            return nn.Sequential(
                nn.Conv1d(3, 8, 3, stride=2, padding=1),
                nn.ReLU(),
                nn.Conv1d(8, 8, 3, padding=1, groups=8),
                nn.ReLU(),
                nn.Conv1d(8, EMBED, 2, stride=2),
            )
        case "maxpool":
            return nn.Sequential(nn.Conv1d(3, EMBED, 2, stride=2), nn.ReLU(), nn.MaxPool1d(2))
        case "ids":
            return nn.Embedding(10, EMBED)
        case _:
            return nn.Linear(4, EMBED)


class Encoder(nn.Module):
    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net
        self.embed = stem(net)
        tokens = TOKENS + (net.pool == "class")
        self.token = nn.Parameter(torch.randn(1, 1, EMBED))
        self.positions = nn.Parameter(0.5 * torch.randn(1, tokens, EMBED))
        self.blocks = nn.Sequential(*(block(net) for _ in range(net.depth)))
        self.norm = nn.LayerNorm(EMBED)
        self.head = nn.Linear(EMBED, CLASSES, bias=net.bias)

    def forward(self, x: Tensor) -> Tensor:
        z = self.embed(x)
        if self.net.patches not in ("linear", "ids"):
            z = z.flatten(2).transpose(1, 2)
        if self.net.pool == "class":
            z = torch.cat([self.token.expand(z.shape[0], -1, -1), z], dim=1)
        z = z if self.net.plain else z + self.positions
        z = self.blocks(z)
        if self.net.norm == "pre":
            z = self.norm(z)
        if self.net.pool == "mean":
            z = z.mean(dim=1)
        elif self.net.pool == "max":
            z = z.amax(dim=1)
        else:
            z = z[:, 0 if self.net.pool == "class" else -1]
        y: Tensor = self.head(z)
        return y


def input_shape(net: Net) -> tuple[int, ...]:
    if net.patches == "conv2d":
        return (2, 8, 12)
    if net.patches == "ids":
        return (TOKENS,)
    return (TOKENS, 4) if net.patches == "linear" else (3, 4 * TOKENS)
