# SPDX-License-Identifier: Apache-2.0
"""A step: one layer of the schedule, with what the emitter, the cost model and the report ask."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import NDArray

from tinygen.lowering.cores import Cores
from tinygen.lowering.names import Names
from tinygen.lowering.slot import Slot
from tinygen.lowering.stream import Stream
from tinygen.targets import Counts, Loops

TICKS = 5
"""Ticks a step. Of an attention layer: 0 keys and values, 1 queries, 2 scores and context, 3 output
projection, 4 its requantisation; other steps need no finer time."""

Constant = tuple[str, NDArray[Any]]
"""(role, array); the emitter's symbol is <step>_<role>."""


@dataclass(frozen=True)
class Buffer:
    """size in bytes; [first, last] in ticks (`TICKS` a step), both inclusive.

    traffic: bytes read and written per inference, an estimate that ranks buffers for fast memory.
    """

    name: str
    size: int
    first: int
    last: int
    traffic: int = 0


@dataclass(frozen=True, eq=False)
class Share:
    """How a cluster runs a step.  args: instead of the step's, or None.  work: bytes of working
    memory in L1.  tiles: weight tiles in a chunk.  files: C files beside those of one core, under
    kernels/src."""

    work: int = 0
    tiles: int = 0
    files: tuple[str, ...] = ()
    args: StepArgs | None = None


@dataclass(frozen=True, eq=False)
class StepArgs(ABC):
    """An operator, lowered: its numbers, where its working memory lies, and what runs.

    One subclass an operator, in the operator's file.
    """

    header: ClassVar[str] = ""
    """Under kernels/include/tinygen: declares the kernel; "" if none is called."""
    block_bytes: ClassVar[int] = 0
    """sizeof the parameter block on a 32-bit core."""

    @property
    def function(self) -> str:
        """The variant of the operator that names the C function and file; "": as the step's op."""
        return ""

    @property
    def ids(self) -> bool:
        """Whether the input is token ids, each stored less 128."""
        return False

    @property
    def fitted(self) -> str:
        """What the cost model must have measured for its costs to be known; "": it always has."""
        return ""

    # -- C text ---------------------------------------------------------------------------------

    def constants(self) -> Iterator[Constant]:
        """Arrays that go to flash, in the order in which they are written out."""
        yield from ()

    def blocks(self, c: Names) -> str:
        """Definitions of the constant parameter blocks, or nothing."""
        return ""

    @abstractmethod
    def call(self, c: Names) -> str:
        """Statements that run it on one core, without the first line's indent."""

    @property
    def includes(self) -> frozenset[str]:
        """Headers of the C library that `call` needs."""
        return frozenset()

    # -- costs ----------------------------------------------------------------------------------

    def functions(self) -> Iterator[str]:
        """Kernels that `call` calls, as often as its text does."""
        yield from ()

    @abstractmethod
    def loops(self, loops: Loops) -> Counts:
        """Rounds of its kernels' loops."""

    def weight_reads(self, stream: Stream) -> int:
        """Bytes of weights that come from flash, an inference."""
        return 0

    # -- on a cluster -----------------------------------------------------------------------------

    def share(self, cores: Cores) -> Share:
        """How they do it together."""
        return Share()

    @abstractmethod
    def shared_call(self, c: Names) -> str:
        """Statements that every core runs."""

    def busiest(self, cores: int, tiles: int) -> Counts | None:
        """What the core with the most to do does, counted; None: not measured.

        tiles: weight tiles in a chunk.
        """
        return Counter()


@dataclass(frozen=True, eq=False)
class Step:
    """One layer of the schedule.

    op: the operator's word, `Operator.word`.  schedule: how it runs, for people.  reads_until,
    writes_from: the ticks within the step at which the inputs are last read and the output is first
    written.
    """

    name: str
    op: str
    macs: int
    inputs: tuple[Slot, ...]
    output: Slot
    args: StepArgs
    schedule: str = ""
    reads_until: int = TICKS - 1
    writes_from: int = 0
    instructions: int | None = None
    cycles: int | None = None
    """Predicted, an inference; None without a cost model of the core. Cycles include waits."""
    wait_weights: int = 0
    wait_memory: int = 0
    """Of the cycles, those spent waiting for weights and for working memory."""
    work: Slot | None = None
    tiles: int = 0
    """On a cluster: working memory, and weight tiles in a chunk."""

    @property
    def function(self) -> str:
        """The operator, or the variant of it, that names the C file."""
        return self.args.function or self.op
