# SPDX-License-Identifier: Apache-2.0
"""What was measured of a target's kernels: JSON files in its package."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent


def measured(target: str, what: str) -> Path:
    """what: costs | footprint | cluster_costs | cluster_costs_plain. The file may not exist."""
    return FOLDER / target / f"{what}.json"


def every(what: str) -> list[Path]:
    return sorted(FOLDER.glob(f"*/{what}.json"))
