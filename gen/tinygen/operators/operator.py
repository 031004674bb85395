# SPDX-License-Identifier: Apache-2.0
"""What an operator tells the stages: everything that is known of it stands in its own file.

The verifier asks `shape` and `fault`, whoever runs a graph `reference`, the planner `lower` and
`share`. Nobody else knows what an operator is; `tinygen.operators` lists them all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from tinygen.errors import TinygenError
from tinygen.lowering import Cores, Lowered, Site
from tinygen.numeric import I8, Shape
from tinygen.operators.draw import Draw
from tinygen.operators.float_form import FloatForm


@dataclass(frozen=True, eq=False)
class Case:
    """A random operator, with inputs for it."""

    op: Operator
    inputs: tuple[I8, ...]


class Misfit(ValueError):
    """An operator cannot take inputs of these shapes."""


def need(ok: bool, what: str) -> None:
    """Raise `Misfit` unless ok."""
    if not ok:
        raise Misfit(what)


@dataclass(frozen=True, eq=False)
class Operator(ABC):
    """An integer operator on int8 activations without a batch axis: parameters, and all the rest.

    `uint8` models are shifted by 128 on import, which loses nothing. Zero points of inputs are
    folded into biases where they can be, so that many operators need only their output's.
    """

    word: ClassVar[str]
    """In reports, in names, and of its C function."""
    label: ClassVar[str] = ""
    """Its name in a network, outside of blocks; "": the word."""
    float_form: ClassVar[FloatForm | None] = None
    """What it was made from, if rewriting has a form of its own for that."""
    is_view: ClassVar[bool] = False
    """Nothing runs: the result is the input or a part of it, as it lies there."""
    overwrites: ClassVar[bool] = False
    """Whether the result may take the place of the first input, element by element."""

    @abstractmethod
    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Of the result; raises `Misfit`."""

    def fault(self, inputs: Sequence[Shape]) -> str | None:
        """What keeps a kernel from being exact on inputs of these shapes, or None."""
        return None

    @abstractmethod
    def reference(self, inputs: Sequence[I8]) -> I8:
        """The definition, bit for bit."""

    @property
    def ids(self) -> int | None:
        """How many tokens there are, if the input is token ids, each stored less 128."""
        return None

    @classmethod
    @abstractmethod
    def random(cls, draw: Draw) -> Case:
        """For tests: any that the operator allows."""

    # -- memory -----------------------------------------------------------------------------------

    def offset(self, inputs: Sequence[Shape]) -> int:
        """Of a view: bytes into its input."""
        return 0

    @property
    def ahead(self) -> int:
        """Bytes of the result before the input's own, if the input may be made in its place
        there; 0: it may not."""
        return 0

    # -- steps ------------------------------------------------------------------------------------

    @abstractmethod
    def lower(self, site: Site) -> Lowered:
        """On one core."""

    def share(self, site: Site, cores: Cores) -> Lowered:
        """On a cluster: kernels take what they need from one working memory."""
        before = len(site.scratch)
        low = self.lower(site)
        del site.scratch[before:]
        how = low.args.share(cores)
        work = site.temporary("work", how.work)
        args = how.args or low.args
        return replace(low, args=args, files=(*low.files, *how.files), work=work, tiles=how.tiles)


def infer_shape(op: Operator, inputs: Sequence[Shape], name: str = "") -> Shape:
    """Output shape; raises `TinygenError` when inputs do not fit the operator."""
    try:
        return op.shape(inputs)
    except Misfit as e:
        raise TinygenError(f"node {name}: {e} (inputs {list(inputs)})") from None
