# SPDX-License-Identifier: Apache-2.0
"""Places in memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Slot:
    """A place in memory: a buffer and a byte offset into it."""

    buffer: str
    offset: int = 0
