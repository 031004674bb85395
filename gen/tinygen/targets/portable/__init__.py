# SPDX-License-Identifier: Apache-2.0
"""Plain C11 for any core."""

from tinygen.targets.portable.layout import Portable, round_up

__all__ = ["Portable", "round_up"]
