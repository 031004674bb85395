# SPDX-License-Identifier: Apache-2.0
"""Where templates, kernels, boards and the default example lie: in a wheel or in a checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def resource(name: str) -> Path:
    """templates | kernels | boards | example_models/digits -> folder."""
    packed = _PACKAGE / "_data" / name
    return packed if packed.exists() else _PACKAGE.parents[1] / name
