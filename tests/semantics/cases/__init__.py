# SPDX-License-Identifier: Apache-2.0
"""Every case of the sweep, by operator."""

from __future__ import annotations

from semantics.case import Case
from semantics.cases import (
    attention,
    elementwise,
    folded,
    fused,
    integers,
    movement,
    quantised,
    rows,
    spelled,
)

TABLES = (elementwise, movement, rows, quantised, attention, fused, integers, folded, spelled)


def by_operator() -> dict[tuple[str, str], list[Case]]:
    """(domain, operator) -> its cases, in order of name."""
    found: dict[tuple[str, str], list[Case]] = {}
    for table in TABLES:
        for case in table.CASES:
            found.setdefault((case.domain, case.op), []).append(case)
    return dict(sorted(found.items()))
