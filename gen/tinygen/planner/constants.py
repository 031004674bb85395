# SPDX-License-Identifier: Apache-2.0
"""What steps keep in flash."""

from __future__ import annotations

from collections.abc import Sequence

from tinygen.lowering import Step


def const_bytes(steps: Sequence[Step]) -> int:
    """Flash for constants, each array rounded up to 4 bytes."""
    return sum(-(-array.nbytes // 4) * 4 for step in steps for _, array in step.args.constants())
