# SPDX-License-Identifier: Apache-2.0
"""What a target (an instruction set) tells the planner and the emitter.

The registry is the one place that knows an ISA: which C files implement an operator, how weights
are laid out for them, how large buffers and scratch are. The C functions have the same names and
contracts on every target (kernels/include/tinygen); only what is behind `const void *` differs.
A layout may change at any time: only its packer, its unpacker and its kernel know it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from tinygen.numeric import I8, I32, U16, Requant
from tinygen.targets.loops import Loops


@dataclass(frozen=True, eq=False)
class PackedLinear:
    """Constant arrays of one `tg_linear_t`.

    w: any dtype, as the kernel reads it (its bytes go to flash 4-byte aligned).
    bias, m: int32 [N], or empty where w holds them too.
    layout: id of the layout, recorded in the Plan.
    form: which of the layout's forms it has, where the values decide on one (`tg_linear_t.form`).
    """

    w: NDArray[Any]
    bias: I32
    m: I32
    layout: str
    form: int = 0


class Target(ABC):
    """One instruction set. Sizes in bytes; they equal what the C size queries return.

    n: outputs, k: inputs of a product; dim: features of a head.
    """

    name: str
    """Folder under kernels/src."""
    suffix: str = ""
    """Of the C names of attention's projections and attend."""
    layouts: dict[str, str]
    """Operator (linear, conv, attention_q, ...) -> layout id."""

    @property
    def loops(self) -> Loops | None:
        """What its kernels do, counted; None where nobody has counted."""
        return None

    def compact(self) -> Target | None:
        """The same instruction set with attention's q, k and v in 8 bits, for its attention
        layers; None where they are so anyway."""
        return None

    @abstractmethod
    def sources(self, kernel: str) -> tuple[str, ...]:
        """C files of a kernel, those that it calls among them, relative to kernels/src (files of
        several kernels may repeat). A kernel is a file of portable/, or attention,
        attention_stream (attention whose heads are streamed through int32 sums)."""

    @abstractmethod
    def pack_linear(self, weight: I8, bias: I32, requant: Requant) -> PackedLinear:
        """weight int8 [N, K]; a per-tensor multiplier is repeated N times."""

    @abstractmethod
    def unpack_linear(self, packed: PackedLinear, n: int, k: int) -> I8:
        """The inverse, for tests: int8 [N, K]."""

    @abstractmethod
    def linear_weights(self, n: int, k: int) -> int:
        """`tg_linear_s8_weights`."""

    @abstractmethod
    def linear_scratch(self, n: int, k: int, rows: int) -> int: ...

    @abstractmethod
    def dot_product_scratch(self, dim: int, keys: int) -> int:
        """`tg_dot_product_attention_scratch`."""

    @abstractmethod
    def pack_conv(self, weight: I8, groups: int, bias: I32, requant: Requant) -> PackedLinear:
        """weight int8 [N, K]: each group is a product of its own."""

    @abstractmethod
    def conv_scratch(self, n: int, k: int) -> int:
        """n: outputs of a group."""

    @abstractmethod
    def pack_project(self, weight: I8, heads: int, bias: I32, requant: Requant) -> PackedLinear:
        """weight int8 [H*P, E]. Rows of a head stay contiguous so that heads can be streamed."""

    @abstractmethod
    def project_scratch(self, dim: int, k: int, rows: int) -> int: ...

    def pack_exp(self, table: U16) -> U16:
        """exp_table [256] as the kernel reads it, 512 bytes."""
        return table

    @abstractmethod
    def pack_output(self, weight: I8, heads: int, bias: I32, requant: Requant) -> PackedLinear:
        """Output projection [N, H*P] head by head, as `tg_attention_accumulate_s8` reads it."""

    @abstractmethod
    def accumulate_scratch(self, n: int, dim: int, rows: int) -> int: ...

    @abstractmethod
    def q_bytes(self, dim: int, heads: int, tokens: int) -> int: ...

    @abstractmethod
    def k_bytes(self, dim: int, heads: int, tokens: int) -> int: ...

    @abstractmethod
    def v_bytes(self, dim: int, heads: int, tokens: int) -> int: ...

    @abstractmethod
    def attend_scratch(self, dim: int, rows: int, tokens: int) -> int: ...
