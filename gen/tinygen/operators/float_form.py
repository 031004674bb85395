# SPDX-License-Identifier: Apache-2.0
"""What an operator is while the graph still is real: the form that rewriting brings it to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from tinygen.numeric import Shape

Array = NDArray[Any]
Attrs = Mapping[str, Any]


@dataclass(frozen=True)
class FloatForm:
    """kind: of the `Float` node.  title: in sentences.  compute: its value, float32, from (inputs,
    attributes, shape of the result).

    doubled, added: its weight is that of its inputs, twice or once, and so much more; None where
    `tinygen.passes.order` says it.  rounds: it reads and makes rounded values, so that a scale is
    chosen where the model has none.  ids: its first input is token ids.
    """

    kind: str
    title: str
    compute: Callable[[list[Any], Attrs, Shape], Any]
    doubled: bool = False
    added: int | None = None
    rounds: bool = True
    ids: bool = False
