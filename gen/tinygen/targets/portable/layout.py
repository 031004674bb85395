# SPDX-License-Identifier: Apache-2.0
"""Plain C11 for any core: weights as they are, one byte at a time."""

from __future__ import annotations

from functools import cache

import numpy as np

from tinygen.numeric import I8, I32, Requant
from tinygen.resources import resource
from tinygen.targets.base import PackedLinear, Target
from tinygen.targets.loops import Loops
from tinygen.targets.portable.loops import PortableLoops


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

    _SOURCES: dict[str, tuple[str, ...]] = {  # noqa: RUF012
        "conv": ("conv", "linear"),
        "attention": ("attention_project", "attention_attend", "linear"),
        "attention_stream": ("attention_project", "attention_attend", "attention_stream"),
    }
    """Kernels of several files, or of one that has another name."""

    @property
    def loops(self) -> Loops | None:
        return PortableLoops()

    def sources(self, kernel: str) -> tuple[str, ...]:
        """A file that the target's folder has, else that of portable/."""
        files = self._SOURCES.get(kernel, (kernel,))
        return tuple(
            f"{self.name if _exists(self.name, file) else 'portable'}/{file}.c" for file in files
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

    def pack_conv(self, weight: I8, groups: int, bias: I32, requant: Requant) -> PackedLinear:
        return self._pack_blocks(np.split(weight, groups), bias, requant, "conv")

    def conv_scratch(self, n: int, k: int) -> int:
        return round_up(self.CONV_BLOCK * k, 4) + self.linear_scratch(n, k, self.CONV_BLOCK)

    def pack_project(self, weight: I8, heads: int, bias: I32, requant: Requant) -> PackedLinear:
        return self._pack_blocks(np.split(weight, heads), bias, requant, "project")

    def pack_output(self, weight: I8, heads: int, bias: I32, requant: Requant) -> PackedLinear:
        """Plain rows [heads][n][dim]: the portable kernel serves every target."""
        blocks = np.split(weight, heads, axis=1)
        w = np.concatenate([np.ascontiguousarray(block).reshape(-1) for block in blocks])
        m = np.broadcast_to(requant.m, bias.shape).astype(np.int32)
        return PackedLinear(w, bias.astype(np.int32), m, "portable/rowmajor")

    def accumulate_scratch(self, n: int, dim: int, rows: int) -> int:
        return 0

    def _pack_blocks(
        self, blocks: list[I8], bias: I32, requant: Requant, operator: str
    ) -> PackedLinear:
        w = np.concatenate([self.pack_weights(block) for block in blocks])
        m = np.broadcast_to(requant.m, bias.shape).astype(np.int32)
        return PackedLinear(w, bias.astype(np.int32), m, f"{self.name}/{self.layouts[operator]}")

    def dot_product_scratch(self, dim: int, keys: int) -> int:
        return round_up(2 * dim + 5 * keys, 4)

    def project_scratch(self, dim: int, k: int, rows: int) -> int:
        return self.linear_scratch(dim, k, rows)

    def q_bytes(self, dim: int, heads: int, tokens: int) -> int:
        return heads * tokens * dim

    def k_bytes(self, dim: int, heads: int, tokens: int) -> int:
        return heads * tokens * dim

    def v_bytes(self, dim: int, heads: int, tokens: int) -> int:
        return heads * tokens * dim

    def attend_scratch(self, dim: int, rows: int, tokens: int) -> int:
        return round_up(2 * dim + 3 * tokens, 4)


@cache
def _exists(target: str, file: str) -> bool:
    return (resource("kernels") / "src" / target / f"{file}.c").is_file()
