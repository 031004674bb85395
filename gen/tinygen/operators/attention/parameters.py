# SPDX-License-Identifier: Apache-2.0
"""The numbers of an attention layer, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from tinygen.numeric import I8, I32, U16, Requant, RowScale
from tinygen.operators.operator import Operator

Fusion = Literal["unfused", "fused-scores", "fused-values", "fused"]
"""Which products of an attention layer's weights were made offline: see `Attention`."""
FUSIONS: tuple[Fusion, ...] = get_args(Fusion)


@dataclass(frozen=True, eq=False)
class Parameters(Operator):
    """See `Attention`."""

    heads: int
    dim: int
    wq: I8
    bq: I32
    rq: Requant
    wk: I8
    bk: I32
    rk: Requant
    wv: I8
    bv: I32
    rv: Requant
    score: Requant
    exp_table: U16
    weight_bits: int
    context: RowScale
    wo: I8
    bo: I32
    ro: Requant
    levels: int = 0

    @property
    def fusion(self) -> Fusion:
        if self.keys_are_x:
            return "fused" if self.values_are_x else "fused-scores"
        return "fused-values" if self.values_are_x else "unfused"

    @property
    def params(self) -> int:
        """Weights of the four products."""
        return self.wq.size + self.wk.size + self.wv.size + self.wo.size

    @property
    def keys_are_x(self) -> bool:
        return len(self.wk) == 0

    @property
    def values_are_x(self) -> bool:
        return len(self.wv) == 0

    @property
    def levels_up(self) -> int:
        """So that ``levels << levels_up`` has weight_bits bits."""
        return self.weight_bits - self.levels.bit_length() if self.levels else 0

    @property
    def value_dim(self) -> int:
        """Features of a head's values and context."""
        width: int = self.wo.shape[1]
        return width // self.heads

    def macs(self, tokens: int) -> int:
        """Projections, scores, context, output projection."""
        e = int(self.wq.shape[1])
        projections = len(self.wq) + len(self.wk) + len(self.wv)
        values = self.heads * self.value_dim
        attend = tokens * (self.heads * self.dim + values)
        return tokens * (projections * e + attend + values * len(self.wo))

    def map_bytes(self, tokens: int) -> int:
        """Working memory of the textbook schedule: input, Q, K, V and the whole int8 attention
        map."""
        projections = len(self.wq) + len(self.wk) + len(self.wv)
        return tokens * (int(self.wq.shape[1]) + projections + self.heads * tokens)
