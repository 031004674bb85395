# SPDX-License-Identifier: Apache-2.0
"""The Plan: all that the emitter, the runner and the report need. None of them decides anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tinygen.boards import Board, Region
from tinygen.graph import Normalisation, Quant
from tinygen.graph.graph import Integers
from tinygen.graph.operator import Operator
from tinygen.graph.ops import I8, I16, U8, U16, DotProductAttention, Fusion, RowScale
from tinygen.planner.schedule import AttentionSchedule, FeedForwardSchedule, Schedule
from tinygen.targets import PackedLinear

INPUT, OUTPUT = "input", "output"
"""Buffers that the caller of ``<model>_run`` owns; all others lie in the arena."""

TICKS = 5
"""Ticks a step. Of an attention layer: 0 keys and values, 1 queries, 2 scores and context, 3 output
projection, 4 its requantisation; other steps need no finer time."""


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
class Slot:
    """A place in memory: a buffer and a byte offset into it."""

    buffer: str
    offset: int = 0


@dataclass(frozen=True, eq=False)
class LinearArgs:
    """One `tg_linear_t`: rows x k -> rows x n."""

    packed: PackedLinear
    n: int
    k: int
    s: int
    zp: int
    table: I8 | None = None


@dataclass(frozen=True, eq=False)
class LinearStep:
    """few: on a cluster, all rows in one register tile."""

    linear: LinearArgs
    rows: int
    scratch: Slot | None
    few: bool = False

    @property
    def function(self) -> str:
        return "linear_few" if self.few else "linear"


@dataclass(frozen=True, eq=False)
class ConvStep:
    """Geometry as in `tg_conv_t`."""

    linear: LinearArgs
    channels: int
    height: int
    width: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pads: tuple[int, int]
    out: tuple[int, int]
    groups: int
    x_zp: int
    x_strides: tuple[int, int, int]
    scratch: Slot | None


@dataclass(frozen=True)
class AttentionSlots:
    """Working buffers of an attention layer; their sizes follow from its schedule.

    sums: int32 [tokens][n] where the output projection accumulates, else None.  *_scratch: of the
    kernels, None where they need nothing.
    """

    q: Slot
    k: Slot
    v: Slot
    context: Slot
    sums: Slot | None
    project_scratch: Slot | None
    query_scratch: Slot | None
    attend_scratch: Slot | None
    output_scratch: Slot | None


@dataclass(frozen=True, eq=False)
class AttentionStep:
    """One attention layer. o: packed head by head if the schedule accumulates.  suffix: of the C
    names of its projections and attend.  k, v: without outputs (n = 0) where x itself is the keys
    or values of all heads; their buffer holds one head then."""

    schedule: AttentionSchedule
    q: LinearArgs
    k: LinearArgs
    v: LinearArgs
    o: LinearArgs
    tokens: int
    heads: int
    dim: int
    value_dim: int
    score_m: int
    score_s: int
    score_zp: int
    exp_table: U16
    context: RowScale
    slots: AttentionSlots
    head_stride_k: int
    head_stride_v: int
    """Bytes between heads, 0 where all share one."""
    suffix: str = ""
    levels: int = 0
    levels_up: int = 0
    ahead: bool = False
    """Clusters: the first weights of o come while the heads are computed."""

    @property
    def projections(self) -> int:
        """Of q, k and v: those that x itself does not stand for."""
        return 1 + (self.k.n > 0) + (self.v.n > 0)

    @property
    def attend(self) -> str:
        """Between tg_attention_ and _s8, the name of the function."""
        return f"attend{self.suffix}{'_levels' if self.levels else ''}"


@dataclass(frozen=True, eq=False)
class DotProductStep:
    """One `tg_dot_product_attention_t`. op: its numbers.  mask: its bits [rows or 1, bytes] or
    None.  seen: keys that all rows see together, of a head."""

    op: DotProductAttention
    rows: int
    keys: int
    dim: int
    mask: U8 | None
    seen: int
    scratch: Slot | None


@dataclass(frozen=True, eq=False)
class FeedForwardStep:
    """rows x k through `up` and `down`, `schedule.row_block` of them at a time; hidden: a block of
    what is between."""

    schedule: FeedForwardSchedule
    up: LinearArgs
    down: LinearArgs
    rows: int
    hidden: Slot
    scratch: Slot | None


@dataclass(frozen=True, eq=False)
class NormStep:
    """function: its name between tg_ and _s8."""

    gamma: tuple[int, ...]
    beta: tuple[int, ...]
    eps: int
    frac: int
    s: int
    rows: int
    whole: bool
    x_zp: int
    step: int = 0
    most: int = 0

    @property
    def function(self) -> str:
        if self.step:
            return "layernorm_steps"
        return "layernorm_whole" if self.whole else "layernorm"


@dataclass(frozen=True, eq=False)
class AddStep:
    ma: int
    mb: int
    c: int
    s: int
    count: int
    other: I8 | I16 | None

    @property
    def wide(self) -> bool:
        """Is the constant int16?"""
        return self.other is not None and self.other.itemsize == 2

    @property
    def function(self) -> str:
        return "add_wide" if self.wide else "add"


@dataclass(frozen=True, eq=False)
class LutStep:
    table: I8
    count: int


@dataclass(frozen=True, eq=False)
class MeanStep:
    bias: int
    m: int
    s: int
    zp: int
    rows: int
    features: int


@dataclass(frozen=True, eq=False)
class MaxStep:
    """Geometry as in `tg_max_t`; size, out: (h, w).  pads: top, left."""

    size: tuple[int, int]
    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pads: tuple[int, int]
    out: tuple[int, int]


@dataclass(frozen=True, eq=False)
class EmbedStep:
    table: I8
    rows: int


@dataclass(frozen=True, eq=False)
class CopyStep:
    """Constant rows at the start of the output, then (unless the producer wrote them there) the
    ``copy_bytes`` of the input."""

    rows: I8
    copy_bytes: int


@dataclass(frozen=True, eq=False)
class OperatorStep:
    """A general operator says itself what runs: see `Operator`. scratch: of one core."""

    op: Operator
    scratch: Slot | None


StepArgs = (
    OperatorStep
    | LinearStep
    | FeedForwardStep
    | ConvStep
    | AttentionStep
    | DotProductStep
    | NormStep
    | AddStep
    | LutStep
    | MeanStep
    | MaxStep
    | EmbedStep
    | CopyStep
)


@dataclass(frozen=True, eq=False)
class Step:
    """One layer of the schedule.

    op: linear | feed-forward | conv | attention | dot_product_attention | layernorm | add | lut |
    mean | max | embed | prepend, or the word of a general operator.  schedule: how it runs, for
    people.  reads_until, writes_from: the ticks within the step at which the inputs are last read
    and the output is first written.
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
        a = self.args
        return a.function if isinstance(a, LinearStep | NormStep | AddStep) else self.op


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
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    input_quant: Quant
    output_quant: Quant
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
    normalisation: Normalisation | None = None
    """Of the input, before it is rounded."""
    threshold: float = 0.0
    """Of the real output, where there is one only: above it the class is 1."""
    integer_input: Integers = ""
    """What the model itself takes."""

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
