# SPDX-License-Identifier: Apache-2.0
"""Nodes that are not integer operators yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tinygen.operators import Operator


@dataclass(frozen=True, eq=False)
class Float:
    """A node as the exporter wrote it, not yet an integer operator (kind = ONNX op type).

    Only importer and passes see these; `verify` with ``integer=True`` refuses any that is left.
    """

    kind: str
    attrs: Mapping[str, Any] = field(default_factory=dict)


Op = Operator | Float
