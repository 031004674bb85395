# SPDX-License-Identifier: Apache-2.0
"""What runs a network, as the planner sees it: one core, or the cores of a cluster.

A machine says how an operator is lowered for it, which schedules it offers, and how long they take.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from tinygen.boards import Board
from tinygen.graph import Graph
from tinygen.lowering import Buffer, Step
from tinygen.planner.lower import Lowering, lifetimes
from tinygen.planner.options import Options
from tinygen.planner.plan import Alternative, Plan

Alternatives = Mapping[str, tuple[Alternative, ...]]
Cost = tuple[int | None, int | None]
"""Instructions and cycles of a layer's fastest schedule, predicted."""


@dataclass(frozen=True, eq=False)
class Way:
    """One way to run the whole network.  considered: see `Plan.alternatives`."""

    low: Lowering
    considered: Alternatives

    @cached_property
    def buffers(self) -> list[Buffer]:
        return lifetimes(self.low)


@dataclass(frozen=True)
class Machine(ABC):
    board: Board

    @property
    @abstractmethod
    def name(self) -> str:
        """By which the emitter chooses the form of <model>.c."""

    usual_weight = 0
    """Of weights that are not made yet, where their values decide what they cost."""

    @abstractmethod
    def ways(self, graph: Graph, options: Options) -> Iterator[Way]:
        """The fastest first; each later one needs less memory."""

    @abstractmethod
    def predicted(self, low: Lowering, homes: Mapping[str, str]) -> tuple[Step, ...]:
        """The steps with what they will take.  homes: buffer -> region."""

    @abstractmethod
    def attention_costs(self, graph: Graph) -> dict[str, Cost]:
        """Attention node -> what its fastest schedule takes."""

    def settled(self, plan: Plan, options: Options) -> Plan:
        """The plan with what else the machine has to decide."""
        return plan
