# SPDX-License-Identifier: Apache-2.0
"""The operators of the graph: parameters only, no behaviour.

`tinygen.reference` defines what each integer operator computes, bit for bit; a kernel is any C
function that gives the same bits. Activations are int8 (`uint8` models are shifted by 128 on
import, which loses nothing), accumulators int32. Zero points of inputs are folded into biases, so
an operator needs only its output's.

S tokens, E features, H heads, P features a head, N outputs, K inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tinygen.graph.operator import Operator

I8 = NDArray[np.int8]
U8 = NDArray[np.uint8]
I16 = NDArray[np.int16]
U16 = NDArray[np.uint16]
I32 = NDArray[np.int32]

Fusion = Literal["unfused", "fused-scores", "fused-values", "fused"]
"""Which products of an attention layer's weights were made offline: see `Attention`."""
FUSIONS: tuple[Fusion, ...] = get_args(Fusion)


@dataclass(frozen=True, eq=False)
class Requant:
    """int32 accumulator -> int8: ``clamp(zp + ((acc * m + 2^(s-1)) >> s))``, the product exact.

    m: int32 [1] (per tensor) or [N] (per output channel), 0 <= m < 2^31.  s: 1..32.
    """

    m: I32
    s: int
    zp: int


@dataclass(frozen=True, eq=False)
class Linear:
    """x [S, K] -> y [S, N]: ``requant(x w^T + bias)``, then ``table`` if there is one.

    weight: int8 [N, K].  bias: int32 [N], the input's zero point already in it.
    table: int8 [256] indexed by q + 128 (a fused activation), or None.
    """

    weight: I8
    bias: I32
    requant: Requant
    table: I8 | None = None


@dataclass(frozen=True, eq=False)
class Conv:
    """x [C, H, W] -> y [OH * OW, N], token-major, so that no transpose follows.

    weight: int8 [N, C/groups, KH, KW].  bias: int32 [N], with the zero point of x folded in over
    the whole window; padding reads as ``x_zp``.  stride: (h, w).  pads: (top, left, bottom, right).
    channels_last: x is [H, W, C] instead.
    """

    weight: I8
    bias: I32
    requant: Requant
    stride: tuple[int, int]
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    x_zp: int = 0
    channels_last: bool = False
    table: I8 | None = None


@dataclass(frozen=True, eq=False)
class RowScale:
    """Context requantisation with one reciprocal a row (softmax's normalisation folded in).

    For a row with weight sum L (uint32): ``z = clz32(L); q = (2^32 - 1) // ((L << z) >> 15)``;
    ``r = (q * mult) >> (47 - z + frac - s)``; ``y = clamp((acc * r + 2^32 * offset) >> s)``.

    mult: 2^14 <= mult < 2^15, scale_v / scale_context = mult * 2^-frac.  s: 33..40, chosen so that
    the shift is never negative.  offset: zero point and rounding with s - 32 fractional bits; V's
    zero point is in it, which is why an integer zero point would not do.  |offset| < 2^30.
    """

    mult: int
    frac: int
    s: int
    offset: int


@dataclass(frozen=True, eq=False)
class Attention:
    """Multi-head self-attention with its four projections: x [S, E] -> y [S, N].

    wq, wk, wv: int8 [H*P, E]; wo: int8 [N, H*P].  Biases int32 with input zero points folded in.
    Per head: scores = ``requant_score(sum_p (q - zq)(k - zk))`` int8; weights e = ``exp_table[max -
    score]``; context = ``row_scale(sum_j e_j v_j)`` with v raw (its zero point lives in the
    offset).
    exp_table: uint16 [256], exp_table[0] = 2^weight_bits - 1 is its maximum.

    levels: 0, or weights are rounded down to 1 / levels of their sum L, as QuantLib's iSoftmax
    does: ``z = clz32(L); f = ((2^32 - 1) // ((L << z) >> 15) * levels >> 8) + 1``; e becomes ``(e f
    >> (39 - z)) << levels_up`` and L ``levels << levels_up``. V has zero point 0.

    Fused weights: without rows in wk, x itself is the keys of every head (then P = E in q and
    scores, and zk = rk.zp); without rows in wv, x itself is the values of every head (then a
    head's context has E features, and wo is [N, H*E]).
    """

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


@dataclass(frozen=True, eq=False)
class WeightSteps:
    """Attention weights rounded to whole steps, as a model does that keeps its softmax in 8 bits.

    A weight e of a row with the sum L becomes ``n << up`` and L becomes ``total``: ``z = clz32(L);
    f = ((2^32 - 1) // ((L << z) >> 15) * total + 2^(up+7)) >> (up + 8); n = min(most, (e f +
    2^(38-z)) >> (39 - z))``, that is e / L in steps of 2^up / total.

    total: of as many bits as the exponent table's first entry.  1 <= most <= 255, most << up of 15
    bits.
    """

    total: int
    up: int
    most: int


@dataclass(frozen=True, eq=False)
class DotProductAttention:
    """q [S, H*P], k [T, H*P], v [T, H*P] -> context [S, H*P]: attention whose projections are
    layers of their own, for what `Attention` does not hold: masks, projections that are rounded
    twice, weights of 8 bits.

    Scores and weights e as in `Attention`; context = ``row_scale(sum_j e_j (v_j - v_zp))``.
    mask: uint8 [S, T], or [1, T] for all rows: nonzero where a row sees a key; every row sees one.
    None: all of them. Keys that a row does not see count neither for its maximum nor for its sum.
    """

    heads: int
    q_zp: int
    k_zp: int
    v_zp: int
    score: Requant
    exp_table: U16
    weight_bits: int
    context: RowScale
    mask: U8 | None = None
    steps: WeightSteps | None = None


@dataclass(frozen=True, eq=False)
class LayerNorm:
    """Normalise each row of x [S, E], in 32-bit steps.

    n = E x - sum(x);  D = E sum(x^2) - sum(x)^2 + eps_term  (>= 1, up to 64 bits)
    d = D * 4^-e in [2^30, 2^32) (floor);  r = min(65535, isqrt(2^62 // d))
    t = (n * r + 2^(k-1)) >> k  with k = 31 + e - frac;  y = clamp((t * gamma + beta) >> s)

    gamma: int32 [E], |gamma| < 2^15.  beta: int32 [E], rounding and zero point included,
    |beta| <= 2^30.  frac = 15 - ceil(log2(E) / 2), so that t fits int16.

    whole: mean and deviation are whole steps, as QuantLib's iLayerNorm takes them; x then stands
    for x - x_zp. mean = sum(x) / E towards zero;  n = x - mean;
    v = isqrt(floor(sum(n^2) / E) + eps_term), of b bits, v >= 1;  r = min(65535, 2^(15+b) // v);
    t as above with k = 15 + b - frac;  frac = 15 - ceil(log2(3 E) / 2).

    step: 0, or the variance is rounded to whole steps, as by a model that keeps it in 8 bits: with
    D before eps_term, ``D = (min(most, (256 D + step / 2) / step) * step >> 8) + eps_term``; t
    saturates to int16, and frac = 15 - ceil(log2(4 E) / 2).
    """

    gamma: I32
    beta: I32
    eps_term: int
    frac: int
    s: int
    whole: bool = False
    x_zp: int = 0
    step: int = 0
    most: int = 0


@dataclass(frozen=True, eq=False)
class Add:
    """``clamp((a ma + b mb + c) >> s)``: two scales, one rounding, within int32.

    0 <= ma, mb < 2^21.  c holds the zero points and 2^(s-1).  ``other`` is b when b is a constant
    (the shape of a), else None and b is the second input. A constant that int8 does not hold
    exactly is int16, and then mb < 2^14.
    """

    ma: int
    mb: int
    c: int
    s: int
    other: I8 | I16 | None = None


@dataclass(frozen=True, eq=False)
class Lut:
    """Elementwise ``table[q + 128]``; also a change of scale. table: int8 [256]."""

    table: I8


@dataclass(frozen=True, eq=False)
class MeanPool:
    """x [S, E] -> [1, E]: ``requant(sum_s x + bias)``; bias = -S * zero point of x."""

    bias: int
    requant: Requant


@dataclass(frozen=True, eq=False)
class MaxPool:
    """x [H, W, C] -> y [OH * OW, C], token-major: the largest of each window; padding never wins.

    kernel, stride: (h, w).  pads: (top, left, bottom, right), smaller than the kernel.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class Embed:
    """Token ids x [S] -> [S, E]: row ``min(x + 128, V - 1)`` of the table. table: int8 [V, E].

    Ids are stored less 128, so that int8 holds 0 to 255; V <= 256.
    """

    table: I8


@dataclass(frozen=True, eq=False)
class PrependTokens:
    """x [S, E] -> [R + S, E]: constant rows (a class token) before x. rows: int8 [R, E]."""

    rows: I8


@dataclass(frozen=True, eq=False)
class SelectToken:
    """x [S, E] -> [1, E]: row ``index``; a view, nothing runs."""

    index: int


@dataclass(frozen=True, eq=False)
class Reshape:
    """The same bytes under another shape; a view, nothing runs."""

    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Float:
    """A node as the exporter wrote it, not yet an integer operator (kind = ONNX op type).

    Only importer and passes see these; `verify` with ``integer=True`` refuses any that is left.
    """

    kind: str
    attrs: Mapping[str, Any] = field(default_factory=dict)


IntOp = (
    Linear
    | Conv
    | Attention
    | DotProductAttention
    | LayerNorm
    | Add
    | Lut
    | MeanPool
    | MaxPool
    | Embed
    | PrependTokens
    | SelectToken
    | Reshape
    | Operator
)
Op = IntOp | Float
VIEWS = (SelectToken, Reshape)
