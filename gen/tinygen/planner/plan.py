# SPDX-License-Identifier: Apache-2.0
"""The Plan: all that the emitter, the runner and the report need. None of them decides anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tinygen.boards import Board, Region
from tinygen.lowering import Buffer, Step
from tinygen.operators import Fusion
from tinygen.operators.attention import AttentionSchedule
from tinygen.operators.feed_forward import FeedForwardSchedule
from tinygen.planner.ends import End

Schedule = AttentionSchedule | FeedForwardSchedule


@dataclass(frozen=True)
class Placement:
    """Where a buffer lies: offset in bytes from the start of the region's arena."""

    buffer: Buffer
    region: str
    offset: int


@dataclass(frozen=True)
class RegionUse:
    """used, size (what the board grants) and lower_bound (largest sum of live buffers), bytes.

    proven: no packing of these buffers is smaller than ``used``.
    """

    name: str
    section: str | None
    used: int
    size: int
    lower_bound: int
    proven: bool


@dataclass(frozen=True)
class Alternative:
    """A schedule that was considered for an attention layer or two linear ones.

    working_bytes: peak of the layer by itself, input and output included.  instructions, cycles:
    predicted, None without a cost model; cycles include waits for weights, none for memory.
    """

    schedule: Schedule
    working_bytes: int
    instructions: int | None
    cycles: int | None
    chosen: bool = False


@dataclass(frozen=True)
class Footprint:
    """Code, predicted from measured sections of the kernels; bytes.

    kernels      in flash, with the tables that they bring
    network      in flash: <model>_run, its parameter blocks, the model's hash
    stack        deepest use by <model>_run, interrupts not counted
    code_region  memory that hot kernels are copied to at boot, None: they stay in flash
    resident     bytes there
    compiler     the one that was measured, with its optimisation
    """

    kernels: int
    network: int
    stack: int
    code_region: str | None
    resident: int
    compiler: str


@dataclass(frozen=True)
class FusionForm:
    """A form of an attention layer's weights that was considered.

    params: int8 weights of its four products.  instructions, cycles: of its fastest schedule,
    predicted, None without a cost model.  error_lsb: mean error of the layer's output against its
    dequantised weights in real arithmetic, None where it was not measured.  why: what speaks for
    it, or against.
    """

    fusion: Fusion
    params: int
    instructions: int | None
    cycles: int | None
    error_lsb: float | None = None
    chosen: bool = False
    why: str = ""


@dataclass(frozen=True)
class Staged:
    """A layer whose constants lie in L3. at: where in L3.  offset: where in the staging buffer.
    size: of both, bytes.  const_bytes: of the arrays themselves."""

    step: str
    at: int
    size: int
    offset: int
    const_bytes: int


@dataclass(frozen=True)
class Staging:
    """Constants beyond L2. layers: in the order in which they run.  size: of the buffer in L2.
    slots: layers that it holds at a time; layer i has slot i modulo slots."""

    layers: tuple[Staged, ...]
    size: int
    slots: int

    @property
    def l3_bytes(self) -> int:
        return sum(layer.size for layer in self.layers)

    @property
    def saved(self) -> int:
        """Bytes of L2 that it saves."""
        return sum(layer.const_bytes for layer in self.layers) - self.size


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that was decided.

    sources: C files under kernels/src.  const_bytes: weights, tables and parameters in flash.
    """

    model: str
    model_hash: str
    board: Board
    target: str
    machine: str
    """`Machine.name`: one core, or a cluster."""
    inputs: tuple[End, ...]
    outputs: tuple[End, ...]
    steps: tuple[Step, ...]
    placements: tuple[Placement, ...]
    regions: tuple[RegionUse, ...]
    arena_lower_bound: int
    """Largest sum of live buffers, bytes: no packing is smaller."""
    sources: tuple[str, ...]
    params_bytes: int
    """Weights and biases, as the model counts them."""
    const_bytes: int
    notes: tuple[str, ...] = field(default=())
    alternatives: Mapping[str, tuple[Alternative, ...]] = field(default_factory=dict)
    """Attention or first linear step -> the schedules that were considered."""
    footprint: Footprint | None = None
    """None where the core's code was never measured."""
    fusion: Mapping[str, tuple[FusionForm, ...]] = field(default_factory=dict)
    """Attention step -> the forms of its weights that were considered."""
    staging: Staging | None = None
    """None: all constants lie in flash, which on a cluster is L2."""

    @property
    def single(self) -> bool:
        """One input and one output, which the interface in C then passes by themselves."""
        return len(self.inputs) == len(self.outputs) == 1

    @property
    def callers(self) -> Mapping[str, End]:
        """Buffers that the caller of ``<model>_run`` owns; all others lie in the arena."""
        return {end.buffer: end for end in (*self.inputs, *self.outputs)}

    @property
    def resident_bytes(self) -> int:
        """Of flash for constants: those that stay there, and the staging buffer."""
        return self.const_bytes - (self.staging.saved if self.staging else 0)

    @property
    def flash_bytes(self) -> int:
        """Constants and, where it is known, code."""
        code = self.footprint
        return self.resident_bytes + (code.kernels + code.network if code else 0)

    @property
    def code_region(self) -> Region | None:
        """Where hot kernels go."""
        region, code = self.board.code_ram, self.footprint
        if region is None or code is None:
            return region
        return region if code.code_region == region.name else None

    @property
    def instructions(self) -> int | None:
        """Predicted, an inference; None without a cost model of the core."""
        counts = [step.instructions for step in self.steps]
        return None if None in counts else sum(c for c in counts if c is not None)

    @property
    def cycles(self) -> int | None:
        counts = [step.cycles for step in self.steps]
        return None if None in counts else sum(c for c in counts if c is not None)

    @property
    def latency_ms(self) -> float | None:
        """Estimated from cycles at the board's clock."""
        return None if self.cycles is None else 1e3 * self.cycles / self.board.core.clock_hz

    @property
    def energy_uj(self) -> float | None:
        """Microjoules an inference, from the board's power; None where either is unknown."""
        if self.cycles is None or self.board.power is None:
            return None
        return self.cycles * self.board.power.mw_per_mhz / 1e3  # mW/MHz = nJ a cycle

    @property
    def macs(self) -> int:
        return sum(step.macs for step in self.steps)

    @property
    def arena_bytes(self) -> int:
        return sum(r.used for r in self.regions)

    def placement(self, buffer: str) -> Placement:
        return next(p for p in self.placements if p.buffer.name == buffer)


def peak(buffers: list[Buffer]) -> tuple[int, int]:
    """(largest sum of live bytes, the tick where it occurs): no packing can be smaller."""
    best, when = 0, 0
    for tick in sorted({b.first for b in buffers}):
        live = sum(b.size for b in buffers if b.first <= tick <= b.last)
        if live > best:
            best, when = live, tick
    return best, when
