# SPDX-License-Identifier: Apache-2.0
"""What the caller of ``<model>_run`` owns: a buffer for each input and each output."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tinygen.graph import Graph, Input, Normalisation, Output, Quant
from tinygen.graph.graph import Integers
from tinygen.lowering import Slot
from tinygen.names import identifier

INPUT, OUTPUT = "input", "output"


@dataclass(frozen=True, eq=False)
class End:
    """An input or an output.

    buffer: what steps call it.  word: its name in C.  name: in the model's file.  slot: where the
    network reads it or makes it, in the caller's buffer or in the arena.  integers: see
    `tinygen.graph.Input`, normalisation as well; threshold: see `Output`.
    """

    buffer: str
    word: str
    name: str
    shape: tuple[int, ...]
    quant: Quant
    slot: Slot
    integers: Integers = ""
    normalisation: Normalisation | None = None
    threshold: float = 0.0

    @property
    def size(self) -> int:
        """Bytes."""
        return math.prod(self.shape)


def buffers(graph: Graph) -> tuple[dict[str, str], list[str]]:
    """Input value -> the caller's buffer; the caller's buffer of each output."""
    words, others = words_of(graph)
    given = [INPUT] if len(words) == 1 else [f"{INPUT}_{w}" for w in words]
    got = [OUTPUT] if len(others) == 1 else [f"{OUTPUT}_{w}" for w in others]
    return dict(zip(graph.input_values, given, strict=True)), got


def words_of(graph: Graph) -> tuple[list[str], list[str]]:
    """Names in C of inputs and outputs: of one each just that, else those of the file."""
    if len(graph.inputs) == len(graph.outputs) == 1:
        return [INPUT], [OUTPUT]
    taken = {INPUT, OUTPUT}
    return (
        _words([i.name for i in graph.inputs], INPUT, taken),
        _words([o.name for o in graph.outputs], OUTPUT, taken),
    )


def _words(names: Sequence[str], direction: str, taken: set[str]) -> list[str]:
    """A macro <MODEL>_INPUT_SIZE is of all inputs, so that only a single one may be called so."""
    found = []
    for name in names:
        stem = identifier(name)
        word, count = stem, 1
        while word in taken and not (word == direction and len(names) == 1):
            word, count = f"{stem}_{count}", count + 1
        taken.add(word)
        found.append(word)
    return found


def inputs_of(graph: Graph, slots: Mapping[str, Slot]) -> tuple[End, ...]:
    given, _ = buffers(graph)
    words, _ = words_of(graph)
    return tuple(
        replace(_end(graph, slots, i, given[i.value], word), normalisation=i.normalisation)
        for i, word in zip(graph.inputs, words, strict=True)
    )


def outputs_of(graph: Graph, slots: Mapping[str, Slot]) -> tuple[End, ...]:
    _, got = buffers(graph)
    _, words = words_of(graph)
    return tuple(
        replace(_end(graph, slots, o, buffer, word), threshold=o.threshold)
        for o, buffer, word in zip(graph.outputs, got, words, strict=True)
    )


def _end(
    graph: Graph, slots: Mapping[str, Slot], of: Input | Output, buffer: str, word: str
) -> End:
    """What inputs and outputs have in common."""
    shape, quant = graph.values[of.value].shape, graph.quant(of.value)
    return End(buffer, word, of.name, shape, quant, slots[of.value], of.integers)


def total(ends: Iterable[End]) -> int:
    """Bytes of all of them."""
    return sum(end.size for end in ends)
