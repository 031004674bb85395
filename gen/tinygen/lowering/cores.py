# SPDX-License-Identifier: Apache-2.0
"""The cores of a cluster, and the sizes that kernels/src/cluster cuts its working memory into."""

from __future__ import annotations

from dataclasses import dataclass

from tinygen.targets import Target

CHUNK = 8192
"""Bytes of a weight chunk that are worth a DMA transfer of their own."""
TILE, TABLE, EXP, OP_BYTES, Q_BYTES = 4, 256, 512, 512, 512


def align8(size: int) -> int:
    return -(-size // 8) * 8


@dataclass(frozen=True)
class Cores:
    """ahead: weights come early where memory of their own serves that."""

    target: Target
    count: int
    ahead: bool = False
