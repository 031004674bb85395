# SPDX-License-Identifier: Apache-2.0
"""The step of an attention layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tinygen.lowering import Constant, Names, StepArgs, Stream
from tinygen.operators.attention.calls import attention_calls
from tinygen.operators.attention.cost import AttentionShape, attention_loops, attention_reads
from tinygen.operators.attention.layer import Layer
from tinygen.operators.attention.shared import busiest, shared_call
from tinygen.operators.linear import LinearArgs
from tinygen.targets import Counts, Loops


@dataclass(frozen=True, eq=False)
class AttentionStep(Layer, StepArgs):
    header = "attention.h"
    block_bytes = 180

    def constants(self) -> Iterator[Constant]:
        for name, linear in self._linears:
            yield from linear.constants(f"{name}_")
        yield "exp", self.exp_table

    @property
    def _linears(self) -> Iterator[tuple[str, LinearArgs]]:
        yield from (("q", self.q), ("k", self.k), ("v", self.v), ("o", self.o))

    def blocks(self, c: Names) -> str:
        parts = ", ".join(f".{w} = {linear.block(c, w + '_')}" for w, linear in self._linears)
        to = self.context
        few = f", .levels = {self.levels}, .levels_up = {self.levels_up}" if self.levels else ""
        return (
            f"static const tg_attention_t {c.ident} = {{{parts}, .heads = {self.heads}, "
            f".dim = {self.dim}, .value_dim = {self.value_dim}, .score_m = {self.score_m}, "
            f".score_s = {self.score_s}, .score_zp = {self.score_zp}, "
            f".exp_table = {c.symbol('exp')}, "
            f".context_mult = {to.mult}, .context_frac = {to.frac}, .context_s = {to.s}, "
            f".context_offset = {to.offset}{few}}};\n"
        )

    def call(self, c: Names) -> str:
        return attention_calls(self, c).rstrip().replace("\n", "\n  ")

    def functions(self) -> Iterator[str]:
        for which, linear in (("k", self.k), ("v", self.v), ("q", self.q)):
            own = f"project_{which}{self.suffix}" if linear.n else f"load_{which}"
            yield f"tg_attention_{own}_s8"
        if self.schedule.kind != "head-streaming":
            yield f"tg_attention_q{self.suffix}_bytes"
        yield f"tg_attention_{self.attend}_s8"
        if self.slots.sums is None:
            yield "tg_linear_s8"
        else:
            yield from ("tg_attention_accumulate_s8", "tg_attention_requantise_s8")

    def loops(self, loops: Loops) -> Counts:
        return attention_loops(AttentionShape.of_step(self), self.schedule, loops)

    def weight_reads(self, stream: Stream) -> int:
        return attention_reads(AttentionShape.of_step(self), self.schedule, stream)

    def shared_call(self, c: Names) -> str:
        return shared_call(self, c)

    def busiest(self, cores: int, tiles: int) -> Counts | None:
        return busiest(self, cores, tiles)
