# SPDX-License-Identifier: Apache-2.0
"""What each output of the firmware said, beside the labels of the samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinygen.runner.console import Sample


@dataclass(frozen=True)
class Answers:
    """Of one output. name: in the model's file, empty of the only one.  given, labels: one a
    sample, label -1 = none."""

    name: str
    given: tuple[int, ...]
    labels: tuple[int, ...]

    @property
    def labelled(self) -> int:
        return sum(label >= 0 for label in self.labels)

    @property
    def correct(self) -> int:
        pairs = zip(self.given, self.labels, strict=True)
        return sum(answer == label for answer, label in pairs if label >= 0)

    @property
    def accuracy(self) -> float | None:
        """Over the labelled samples."""
        return self.correct / self.labelled if self.labelled else None


def answers_of(samples: Sequence[Sample], outputs: Sequence[str]) -> tuple[Answers, ...]:
    """outputs: names of several; without, the only output's."""
    if not outputs:
        given = tuple(s.argmax for s in samples)
        return (Answers("", given, tuple(s.label for s in samples)),)
    return tuple(
        Answers(
            name,
            tuple(s.answers[i] for s in samples if i < len(s.answers)),
            tuple(s.labels[i] for s in samples if i < len(s.labels)),
        )
        for i, name in enumerate(outputs)
    )


def accuracy_of(answers: Sequence[Answers]) -> float | None:
    """Over all that is labelled."""
    labelled = sum(a.labelled for a in answers)
    return sum(a.correct for a in answers) / labelled if labelled else None
