# SPDX-License-Identifier: Apache-2.0
"""Read what the firmware prints: one JSON object a line (templates/README.md)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from tinygen.errors import TinygenError

Progress = Callable[[int, int], None]


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True)


class Boot(_Line):
    model: str
    hash: str
    generator: str
    layers: int
    samples: int
    counter: Literal["instructions", "cycles", "ns", "none"]


class Sample(_Line):
    """counts: per layer. at, got, promised: the first output that differs.  answers, labels: of
    each of several outputs; argmax and label are the first's."""

    i: int
    equal: bool
    argmax: int
    label: int
    total: int | None
    counts: tuple[int, ...]
    at: int | None = None
    got: int | None = None
    promised: int | None = None
    answers: tuple[int, ...] = ()
    labels: tuple[int, ...] = ()


class Done(_Line):
    samples: int
    equal: int
    stack: int


class Fault(_Line):
    """Registers of a Cortex-M fault; pc and lr are missing where the stack left the memory."""

    exception: int
    sp: int
    pc: int | None = None
    lr: int | None = None
    cfsr: int | None = None
    hfsr: int | None = None
    bfar: int | None = None


def typical(samples: Sequence[Sample], counter: str) -> Sample | None:
    """The sample whose counts are shown: the one with the largest total. Of times, which a busy
    computer disturbs, the median, without the first sample where there are more."""
    counted = [s for s in samples if s.total is not None]
    if not counted:
        return None
    if counter == "ns":
        ordered = sorted(counted[1:] or counted, key=lambda s: s.total or 0)
        return ordered[(len(ordered) - 1) // 2]
    return max(counted, key=lambda s: s.total or 0)


_KINDS: dict[str, type[_Line]] = {"boot": Boot, "sample": Sample, "done": Done, "fault": Fault}


@dataclass
class Console:
    """Feed it the firmware's output as it comes; it gathers the results."""

    progress: Progress | None = None
    boot: Boot | None = None
    samples: list[Sample] = field(default_factory=list)
    done: Done | None = None
    fault: Fault | None = None
    other: list[str] = field(default_factory=list)
    _rest: str = ""

    def feed(self, text: str) -> None:
        """Any piece of the output."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._line(line.strip())

    def close(self) -> None:
        """The output has ended, perhaps within a line."""
        self.feed("\n")

    @property
    def last_words(self) -> str:
        """For messages: the end of what was not JSON, or how far the samples got."""
        if self.other:
            return " / ".join(self.other[-3:])
        if self.boot is None:
            return "it printed nothing"
        return f"it finished {len(self.samples)} of {self.boot.samples} samples"

    def _line(self, line: str) -> None:
        if not line:
            return
        if not line.startswith('{"tg":'):
            self.other.append(line)
            return
        try:
            fields: dict[str, Any] = json.loads(line)
            parsed = _KINDS[fields.pop("tg")].model_validate(fields)
        except (ValueError, KeyError, ValidationError):
            raise TinygenError(
                f"the firmware printed a line that cannot be understood: {line[:120]}; was the "
                "project made by another version of tinygen?"
            ) from None
        match parsed:
            case Boot():
                self.boot = parsed
                self._report(0, parsed.samples)
            case Sample():
                self.samples.append(parsed)
                if self.boot:
                    self._report(len(self.samples), self.boot.samples)
            case Done():
                self.done = parsed
            case Fault():
                self.fault = parsed

    def _report(self, done: int, total: int) -> None:
        if self.progress:
            self.progress(done, total)
