# SPDX-License-Identifier: Apache-2.0
"""Read what a real board prints, from its serial port or from a captured log."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tinygen.errors import TinygenError
from tinygen.runner.answers import accuracy_of, answers_of
from tinygen.runner.console import Console, Progress, typical
from tinygen.runner.project import Project, read_project
from tinygen.runner.run import LayerCount, Mismatch


@dataclass(frozen=True)
class Profile:
    """What the board measured.

    passed     all samples ran, every output byte was as promised, and the model was this project's
    counter    unit of total and layers; None: nothing was counted
    total      of one inference, the worst over the samples (for ns the median); layers: of the same
    predicted  the same layers by the cost model, in that unit; None where it has none
    clock_hz   of the core, as the board's description says
    counted    instructions of the same layers on the chip's model; empty where none ran
    """

    passed: bool
    board: str
    samples: int
    matching: int
    counter: Literal["instructions", "cycles", "ns"] | None
    total: int | None
    layers: tuple[LayerCount, ...]
    predicted: tuple[int | None, ...]
    clock_hz: int
    stack: int | None
    accuracy: float | None
    mismatch: Mismatch | None
    counted: tuple[int | None, ...] = ()
    model_hash: str = ""

    @property
    def milliseconds(self) -> float | None:
        """Of one inference: that of total."""
        if self.total is None or self.counter not in ("cycles", "ns"):
            return None
        return self.total * 1e3 / (self.clock_hz if self.counter == "cycles" else 1e9)


def profile(
    project: Path,
    port: str | None = None,
    log: Path | None = None,
    baud: int = 115200,
    timeout: float = 120,
    progress: Progress | None = None,
) -> Profile:
    """The last complete self-test of a log, or the next one that the port delivers."""
    description = read_project(project)
    if (port is None) == (log is None):
        raise TinygenError("say where the board's output is: either --port or --log")
    lines = _read_log(log) if log is not None else _read_port(str(port), baud, timeout)
    console = _last_run(lines, progress, stop=log is None)
    result = _result(description, console, str(log or port))
    counted = _counted(project, description)
    return replace(result, counted=counted, model_hash=description.model_hash)


def _counted(project: Path, description: Project) -> tuple[int | None, ...]:
    """What the last run on the chip's model counted, kept in the project's build folder."""
    try:
        run = json.loads((project / "build/run.json").read_text(encoding="utf-8"))
        field = "count" if run["on"] == "chip" else "counted"
        found = {layer["name"]: layer[field] for layer in run["layers"]}
        if run.get("model_hash") != description.model_hash:
            return ()
        return tuple(int(found[layer.name]) for layer in description.layers)
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def _last_run(lines: Iterator[str], progress: Progress | None, stop: bool) -> Console:
    """Lines before the first boot belong to a run whose start was missed."""
    console, complete = Console(progress), None
    started = False
    for line in lines:
        if '{"tg":"boot"' in line:
            console, started = Console(progress), True
            line = line[line.index('{"tg"') :]
        if started:
            console.feed(line.rstrip("\r\n") + "\n")
        if console.done or console.fault:
            complete = console
            if stop:
                break
    return complete or console


def _read_log(log: Path) -> Iterator[str]:
    try:
        yield from log.read_text(errors="replace").splitlines()
    except OSError as e:
        raise TinygenError(f"{log}: cannot be read ({e.strerror})") from None


def _read_port(port: str, baud: int, timeout: float) -> Iterator[str]:
    try:
        import serial
    except ImportError:
        raise TinygenError(
            "the package pyserial is not installed: pip install 'tinygen[zephyr]', or capture the "
            "output with another program and use --log"
        ) from None
    end = time.monotonic() + timeout
    try:
        with serial.Serial(port, baud, timeout=0.5) as link:
            rest = b""
            while time.monotonic() < end:
                rest += link.read(max(1, link.in_waiting))
                *lines, rest = rest.split(b"\n")
                for line in lines:
                    yield line.decode(errors="replace")
    except (serial.SerialException, OSError, ValueError, OverflowError) as e:
        raise TinygenError(f"{port}: cannot be read ({e}): is the board connected?") from None
    raise TinygenError(
        f"{port}: no complete self-test within {timeout:.0f} s: press the board's reset button "
        "while this command waits, and look whether CONFIG_TINYGEN_SELF_TEST is on"
    )


def _result(description: Project, console: Console, where: str) -> Profile:
    boot, done, samples = console.boot, console.done, console.samples
    if console.fault:
        raise TinygenError(f"{where}: the firmware crashed, exception {console.fault.exception}")
    if boot is None or done is None:
        raise TinygenError(f"{where}: no complete self-test: {console.last_words}")
    if description.model_hash and boot.hash != description.model_hash:
        raise TinygenError(
            f"{where}: the board runs {boot.model} of hash {boot.hash[:12]}, this project holds "
            f"{description.model} of hash {description.model_hash[:12]}: build and flash it again"
        )
    if boot.layers != len(description.layers) or done.samples != len(samples):
        raise TinygenError(
            f"{where}: {len(samples)} of {done.samples} samples and {boot.layers} layers arrived, "
            f"{len(description.layers)} layers were expected: was the connection interrupted?"
        )
    counter = None if boot.counter == "none" else boot.counter
    shown = typical(samples, boot.counter) if counter else None
    counts: list[int | None] = list(shown.counts) if shown else [None] * len(description.layers)
    matching = sum(s.equal for s in samples)
    wrong = next((s for s in samples if not s.equal), None)
    mismatch = None
    if wrong and wrong.at is not None and wrong.got is not None and wrong.promised is not None:
        mismatch = Mismatch(wrong.i, wrong.at, wrong.got, wrong.promised)
    return Profile(
        passed=matching == len(samples) == done.equal > 0,
        board=description.board,
        samples=len(samples),
        matching=matching,
        counter=counter,
        total=shown.total if shown else None,
        layers=tuple(
            LayerCount(layer.name, layer.op, count)
            for layer, count in zip(description.layers, counts, strict=True)
        ),
        predicted=tuple(
            layer.instructions if counter == "instructions" else layer.cycles
            for layer in description.layers
        ),
        clock_hz=description.load_board().core.clock_hz,
        stack=done.stack if done.stack >= 0 else None,
        accuracy=accuracy_of(answers_of(samples, description.outputs)),
        mismatch=mismatch,
    )
