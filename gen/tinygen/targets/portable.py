# SPDX-License-Identifier: Apache-2.0
"""Plain C11 for any core: weights as they are, one byte at a time."""

from __future__ import annotations

import numpy as np

from tinygen.graph.ops import I8, I32, Attention, Conv, Requant
from tinygen.targets.base import PackedLinear, Target


def round_up(x: int, multiple: int) -> int:
    return -(-x // multiple) * multiple


class Portable(Target):
    name = "portable"
    layouts = {  # noqa: RUF012 (declared on Target)
        "linear": "rowmajor",
        "project": "rowmajor",
        "conv": "rowmajor",
        "attention_q": "hsp",
        "attention_k": "hsp",
        "attention_v": "hps",
    }

    CONV_BLOCK = 4
    """Windows that conv.c gathers before each product."""

    _SOURCES = {  # noqa: RUF012
        "linear": ("linear",),
        "conv": ("conv", "linear"),
        "attention": ("attention_project", "attention_attend", "linear"),
        "attention_stream": ("attention_project", "attention_attend", "attention_stream"),
        "attention_load": ("attention_load",),
        "attention_levels": ("attention_levels",),
        "layernorm": ("layernorm",),
        "layernorm_whole": ("layernorm_whole",),
        "layernorm_steps": ("layernorm_steps",),
        "dot_product_attention": ("dot_product_attention",),
        "add": ("add",),
        "add_wide": ("add_wide",),
        "lut": ("lut",),
        "mean": ("mean",),
        "max": ("max",),
        "embed": ("embed",),
        "matmul": ("matmul",),
        "softmax": ("softmax",),
        "rmsnorm": ("rmsnorm",),
        "weighted": ("weighted",),
        "mul": ("binary",),
        "sum": ("binary",),
        "div": ("binary",),
        "extreme": ("binary",),
        "move": ("move",),
        "gather": ("move",),
    }
    _OWN: frozenset[str] = frozenset()
    """Files that this target brings itself; the others come from portable/."""

    def sources(self, operator: str) -> tuple[str, ...]:
        return tuple(
            f"{self.name if file in self._OWN else 'portable'}/{file}.c"
            for file in self._SOURCES[operator]
        )

    # -- layouts: a subclass changes these four -------------------------------------------------

    def linear_weights(self, n: int, k: int) -> int:
        """Bytes of packed weights: `tg_linear_s8_weights`."""
        return n * k

    def pack_weights(self, weight: I8) -> I8:
        """int8 [N, K] -> bytes, `linear_weights(n, k)` of them."""
        return weight.reshape(-1)

    def unpack_weights(self, packed: I8, n: int, k: int) -> I8:
        return packed.reshape(n, k)

    def linear_scratch(self, n: int, k: int, rows: int) -> int:
        return 0

    # -- what follows from them -----------------------------------------------------------------

    def pack_linear(self, weight: I8, bias: I32, requant: Requant) -> PackedLinear:
        return self._pack_blocks([weight], bias, requant, "linear")

    def unpack_linear(self, packed: PackedLinear, n: int, k: int) -> I8:
        return self.unpack_weights(packed.w, n, k)

    def pack_conv(self, op: Conv) -> PackedLinear:
        """Group by group; each is an n / groups x k product."""
        flat = op.weight.reshape(len(op.weight), -1)
        return self._pack_blocks(np.split(flat, op.groups), op.bias, op.requant, "conv")

    def conv_scratch(self, op: Conv) -> int:
        n, k = len(op.weight) // op.groups, int(np.prod(op.weight.shape[1:]))
        return round_up(self.CONV_BLOCK * k, 4) + self.linear_scratch(n, k, self.CONV_BLOCK)

    def pack_project(self, op: Attention, which: str) -> PackedLinear:
        """Head by head, so that heads can be streamed."""
        weight, bias, requant = {
            "q": (op.wq, op.bq, op.rq),
            "k": (op.wk, op.bk, op.rk),
            "v": (op.wv, op.bv, op.rv),
        }[which]
        return self._pack_blocks(np.split(weight, op.heads), bias, requant, "project")

    def pack_output(self, op: Attention) -> PackedLinear:
        """Plain rows [heads][n][dim]: the portable kernel serves every target."""
        blocks = np.split(op.wo, op.heads, axis=1)
        w = np.concatenate([np.ascontiguousarray(block).reshape(-1) for block in blocks])
        m = np.broadcast_to(op.ro.m, op.bo.shape).astype(np.int32)
        return PackedLinear(w, op.bo.astype(np.int32), m, "portable/rowmajor")

    def accumulate_scratch(self, op: Attention, rows: int) -> int:
        return 0

    def _pack_blocks(
        self, blocks: list[I8], bias: I32, requant: Requant, operator: str
    ) -> PackedLinear:
        w = np.concatenate([self.pack_weights(block) for block in blocks])
        m = np.broadcast_to(requant.m, bias.shape).astype(np.int32)
        return PackedLinear(w, bias.astype(np.int32), m, f"{self.name}/{self.layouts[operator]}")

    def dot_product_scratch(self, dim: int, keys: int) -> int:
        return round_up(2 * dim + 5 * keys, 4)

    def project_scratch(self, op: Attention, tokens: int) -> int:
        return self.linear_scratch(op.dim, op.wq.shape[1], tokens)

    def q_bytes(self, op: Attention, heads: int, tokens: int) -> int:
        return heads * tokens * op.dim

    def k_bytes(self, op: Attention, heads: int, tokens: int) -> int:
        return heads * tokens * op.dim

    def v_bytes(self, op: Attention, heads: int, tokens: int) -> int:
        return heads * tokens * op.value_dim

    def attend_scratch(self, op: Attention, rows: int, tokens: int) -> int:
        return round_up(2 * op.dim + 3 * tokens, 4)
