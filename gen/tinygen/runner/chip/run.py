# SPDX-License-Identifier: Apache-2.0
"""The console of an image that runs on its chip, and what its end means."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from tinygen.boards import Board
from tinygen.boards.chip import Chip, chip_of, load_chip
from tinygen.errors import TinygenError
from tinygen.runner.chip.image import Image, read_image
from tinygen.runner.chip.machine import Ending, Machine
from tinygen.runner.console import Console

_SILENCE = 3.0
_SPEED = 10e6
"""Instructions a second that any computer runs here, to know a long inference from a hang."""


@dataclass(frozen=True)
class ChipRun:
    """instructions: that ran in all.  note: what a reader should know, or empty."""

    instructions: int
    seconds: float
    note: str


def find_images(project: Path) -> list[Path]:
    """Images that west or PlatformIO have built in a project, the newest first."""
    found = [*project.glob("build*/zephyr/zephyr.elf"), *project.glob(".pio/build/*/firmware.elf")]
    return sorted(found, key=lambda p: p.stat().st_mtime, reverse=True)


def run_chip(
    elf: Path,
    board: Board,
    console: Console,
    max_samples: int | None,
    timeout: float,
    predicted: int = 0,
) -> ChipRun:
    """Run until the self-test has ended, or has finished max_samples.

    predicted: instructions of one inference, so that a long one is not taken for a hang.
    `TinygenError` says what the chip would have trapped, where it hangs, or where it sleeps.
    """
    name = chip_of(board)
    if name is None:
        raise TinygenError(
            f"{board.name} has no model of its chip: its file lacks emulation.chip; docs/chips.md "
            "says how to add a family"
        )
    chip = load_chip(name)
    if board.core.cpu not in chip.cores:
        raise TinygenError(
            f"{board.name} has a {board.core.cpu}, and {chip.name} has a "
            f"{' or a '.join(chip.cores)}: correct core.cpu or emulation.chip in the board's file"
        )
    image = read_image(elf, board, chip)
    lines = _Lines(console)
    machine = Machine(
        board,
        chip,
        [(s.address, s.data) for s in image.elf.segments],
        image.vectors,
        lines.put,
        lambda: _finished(console, max_samples),
    )
    started = time.monotonic()
    silence = max(_SILENCE, predicted / _SPEED)

    def limit() -> str | None:
        now = time.monotonic()
        if now - started > timeout:
            return "timeout"
        return "hang" if now - max(started, lines.last) > silence else None

    ending = machine.run(limit)
    lines.close()
    if ending.why != "finished":
        raise TinygenError(_sentence(ending, image, chip, console, timeout, silence, machine))
    return ChipRun(int(machine.state.instructions), time.monotonic() - started, _note(machine))


class _Lines:
    """Bytes of each USART into lines: two that print at once do not mix."""

    def __init__(self, console: Console) -> None:
        self._console, self._rest = console, dict[str, bytearray]()
        self.last = time.monotonic()

    def put(self, uart: str, byte: int) -> None:
        line = self._rest.setdefault(uart, bytearray())
        line.append(byte)
        if byte == 10:
            self.last = time.monotonic()
            self._rest[uart] = bytearray()
            self._console.feed(line.decode(errors="replace"))

    def close(self) -> None:
        """What has no end of line yet, as other output: half a line is no result."""
        for line in self._rest.values():
            if text := line.decode(errors="replace").strip():
                self._console.other.append(text)
        self._console.close()


def _finished(console: Console, max_samples: int | None) -> bool:
    if console.done is not None or console.fault is not None:
        return True
    if max_samples is not None and len(console.samples) >= max_samples:
        return True
    return bool(console.other) and "Halting system" in console.other[-1]


def _note(machine: Machine) -> str:
    if not machine.bus.toggled:
        return ""
    registers = ", ".join(f"0x{a:08x}" for a in machine.bus.toggled[:4])
    more = " and others" if len(machine.bus.toggled) > 4 else ""
    return (
        f"the firmware waits for bits that {machine.chip.name}'s model does not know, in "
        f"{registers}{more}: they toggled after many reads"
    )


def _sentence(
    ending: Ending,
    image: Image,
    chip: Chip,
    console: Console,
    timeout: float,
    silence: float,
    machine: Machine,
) -> str:
    where = image.place(ending.pc)
    on = f"{image.path.name} on the model of {chip.name}"
    words = console.last_words
    if ending.fault is not None:
        return f"{on} stopped: {ending.fault.what}, in {where}{_caller(machine, image)}; {words}"
    register = machine.bus.waited_for
    waits = "" if register is None else f", which reads 0x{register:08x} again and again"
    reasons = {
        "hang": f"{on} printed nothing for {silence:.0f} s and hangs in {where}{waits}: {words}",
        "timeout": f"{on} did not end within {timeout:.0f} s, in {where}: {words}; raise the "
        "timeout or run fewer samples",
        "sleep": f"{on} sleeps and nothing can wake it, in {where}, before its self-test ended: "
        f"{words}",
        "reset": f"{on} resets itself in {where}{_caller(machine, image)}: {words}",
        "semihosting": f"{on} calls a debugger in {where}: a board without one stops there",
    }
    return reasons[ending.why]


def _caller(machine: Machine, image: Image) -> str:
    """The function that LR names, where that is code of the image."""
    kept = machine.state.fault_lr if machine.state.fault else 0
    link = int(kept or machine.core.get("LR")) & ~1
    inside = any(s.address <= link < s.address + len(s.data) for s in image.elf.segments)
    return f", called from {image.elf.describe(link)}" if inside else ""
