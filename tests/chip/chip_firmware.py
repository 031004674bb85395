# SPDX-License-Identifier: Apache-2.0
"""What the fixtures of this folder give to its tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tinygen.runner.chip import ChipRun
from tinygen.runner.console import Console


@dataclass(frozen=True)
class Ran:
    """error: the sentence that the run ended with, or empty.  lines: what was printed beside the
    results."""

    error: str
    lines: list[str]
    console: Console
    result: ChipRun | None


Build = Callable[[str, str], Path]
Run = Callable[[str, str], Ran]
