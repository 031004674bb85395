# SPDX-License-Identifier: Apache-2.0
"""Build a project, run its self-test somewhere, and read the results."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

from tinygen.boards import Board
from tinygen.boards.chip import chip_of
from tinygen.errors import TinygenError
from tinygen.runner.answers import Answers, accuracy_of, answers_of
from tinygen.runner.build import Built, build
from tinygen.runner.chip import find_images, run_chip
from tinygen.runner.console import Console, Done, Fault, Progress, typical
from tinygen.runner.elf import read_elf
from tinygen.runner.gvsoc import build_gvsoc, run_gvsoc
from tinygen.runner.host import run_host
from tinygen.runner.project import Layer, Project, read_project
from tinygen.runner.qemu import run_qemu
from tinygen.runner.toolchain import find_emulator, find_toolchain, has_unicorn
from tinygen.runner.unicorn import run_unicorn
from tinygen.runner.zephyr import bring_up_to_date, build_zephyr, run_zephyr, zephyr_base

Place = Literal["host", "qemu", "unicorn", "gvsoc", "chip"]
PLACES: tuple[Place, ...] = ("host", "qemu", "unicorn", "gvsoc", "chip")
_UNICORN_SAMPLES = 8


@dataclass(frozen=True)
class LayerCount:
    """count: of the sample that RunResult shows; None where nothing counts.

    cycles: estimated for the board from a count of instructions, None where nothing is.
    """

    name: str
    op: str
    count: int | None
    cycles: int | None = None


@dataclass(frozen=True)
class Mismatch:
    """The first output that is not as promised."""

    sample: int
    at: int
    got: int
    promised: int


@dataclass(frozen=True)
class RunResult:
    """What a run of the self-test showed.

    passed       every sample that ran was equal to the promised outputs, bit for bit
    counter      unit of total and layers; None: nothing was counted
    total        of one inference, the worst over the samples; for ns the median, without the
                 first, which warms up. The layers are those of the same sample: they add up
    answers      of each output
    labelled, correct  labels that samples have, and those of them that were answered
    stack        largest use, bytes; None on the host
    note         what a reader should know about this run, or empty
    """

    passed: bool
    board: str
    on: Place
    compiler: str
    samples: int
    matching: int
    counter: Literal["instructions", "cycles", "ns"] | None
    total: int | None
    layers: tuple[LayerCount, ...]
    answers: tuple[Answers, ...]
    stack: int | None
    arena_bytes: int
    flash_bytes: int
    ram_bytes: int
    mismatch: Mismatch | None
    elf: Path
    note: str = ""
    model_hash: str = ""

    @property
    def labelled(self) -> int:
        return sum(a.labelled for a in self.answers)

    @property
    def correct(self) -> int:
        return sum(a.correct for a in self.answers)

    @property
    def accuracy(self) -> float | None:
        """Over the labelled samples."""
        return accuracy_of(self.answers)


def run(
    project: Path,
    board: Board,
    on: Place | None = None,
    max_samples: int | None = None,
    progress: Progress | None = None,
    timeout: float = 600,
    elf: Path | None = None,
) -> RunResult:
    """Build and run. on: where, None = the best that this machine has.

    max_samples: None = all of them, in Unicorn 8. progress: called with samples done and total.
    elf: the image of a chip, instead of building one.
    """
    description = read_project(project)
    place = _place(project, description, board, on, elf)
    note = ""
    if place == "unicorn" and max_samples is None:
        max_samples, have = _UNICORN_SAMPLES, description.samples
        if have is None or have > max_samples:
            note = (
                f"Unicorn is slow: only the first {max_samples} of "
                f"{'the' if have is None else have} samples ran; --samples N runs more"
            )
    if max_samples is not None and max_samples < 1:
        raise TinygenError(f"{max_samples} samples prove nothing: ask for at least 1")
    console = Console(progress)
    if place == "chip":
        return _run_chip(project, description, board, console, max_samples, timeout, elf)
    if description.template == "zephyr":
        built = build_zephyr(project, board, max_samples)
        status = run_zephyr(built, board, place == "host", console, timeout)
        return _result(description, place, built, console, status)
    if place == "gvsoc":
        built = build_gvsoc(project, max_samples)
    else:
        built = build(project, board, find_toolchain(board))
    runners: dict[Place, Callable[[Built, Board, Console, int | None, float], int]] = {
        "host": run_host,
        "qemu": run_qemu,
        "unicorn": run_unicorn,
        "gvsoc": run_gvsoc,
    }
    status = runners[place](built, board, console, max_samples, timeout)
    return replace(_result(description, place, built, console, status), note=note)


def _run_chip(
    project: Path,
    description: Project,
    board: Board,
    console: Console,
    max_samples: int | None,
    timeout: float,
    elf: Path | None,
) -> RunResult:
    """The image that is flashed: built, named, or found where no Zephyr tree is at hand."""
    built, notes = _image(project, board, elf)
    predicted = sum(layer.instructions or 0 for layer in description.layers)
    ran = run_chip(built.elf, board, console, max_samples, timeout, predicted)
    boot, samples = console.boot, console.samples
    if boot is not None and description.model_hash and boot.hash != description.model_hash:
        raise TinygenError(
            f"{built.elf} carries {boot.model} of hash {boot.hash[:12]}, this project "
            f"{description.model} of hash {description.model_hash[:12]}: build it again"
        )
    if max_samples is not None and console.done is None and len(samples) >= max_samples:
        equal = sum(s.equal for s in samples)
        console.done = Done(samples=len(samples), equal=equal, stack=-1)
    result = _result(description, "chip", built, console, 0)
    notes.extend([ran.note] if ran.note else [])
    layers = tuple(
        replace(found, cycles=estimated_cycles(layer, found.count))
        for layer, found in zip(description.layers, result.layers, strict=True)
    )
    result = replace(
        result, note="; ".join(notes), layers=layers, model_hash=description.model_hash
    )
    return replace(result, counter="instructions") if result.counter else result


def estimated_cycles(layer: Layer, count: int | None) -> int | None:
    """Of a layer whose instructions were counted: as many cycles for each as the cost model
    predicts, with the board's waits for memory."""
    if count is None or not layer.instructions or layer.cycles is None:
        return None
    return round(count * layer.cycles / layer.instructions)


def _image(project: Path, board: Board, elf: Path | None) -> tuple[Built, list[str]]:
    """The image, and what to say about where it is from."""
    notes = []
    if elf is None:
        try:
            zephyr_base(project)
        except TinygenError:
            images = find_images(project)
            if not images:
                raise
            elf = images[0]
            notes.append(f"no Zephyr tree is at hand, so {elf} ran as it is")
    if elf is None:
        return bring_up_to_date(project) or build_zephyr(project, board), notes
    if not elf.is_file():
        raise TinygenError(f"{elf} is not there: build the project, or correct --elf")
    try:
        sizes = read_elf(elf)
    except (struct.error, IndexError, ValueError):
        raise TinygenError(
            f"{elf} is a damaged ELF file: build it again, or name another file with --elf"
        ) from None
    return Built(elf, sizes.flash_bytes, sizes.ram_bytes, "what built the image", ""), notes


def _place(
    project: Path, description: Project, board: Board, on: Place | None, elf: Path | None = None
) -> Place:
    if description.board != board.name:
        raise TinygenError(
            f"{project} was made for board {description.board}, not {board.name}: create a project "
            f"with `tinygen new --board {board.name}`"
        )
    if on is not None and on not in PLACES:
        raise TinygenError(f"cannot run on {on!r}: choose one of {', '.join(PLACES)}")
    zephyr = description.template == "zephyr"
    chip = zephyr and chip_of(board) is not None
    if elf is not None and on is None:
        on = "chip"
    if elf is not None and on != "chip":
        raise TinygenError(f"--elf names the image of a chip, and --on {on} builds its own")
    if on == "chip":
        if chip:
            return on
        raise TinygenError(
            f"{project} is no Zephyr project"
            if not zephyr
            else f"{board.name} has no model of its chip: its file lacks emulation.chip, and "
            "docs/chips.md says how to add a family"
        )
    if on is None and chip and not board.emulation.host and not board.emulation.qemu_machine:
        if has_unicorn():
            return "chip"
        raise TinygenError(
            f"running {board.name}'s image needs Unicorn: pip install 'tinygen[run]'"
        )
    if on == "unicorn" and zephyr:
        raise TinygenError(
            f"{project} is a Zephyr project, which Unicorn does not run: use --on qemu, or create "
            "one with --template baremetal"
        )
    if on is None:
        return "host" if board.emulation.host else "qemu" if zephyr else find_emulator(board)
    if on == "gvsoc" and board.emulation.gvsoc:
        return on
    if on == "gvsoc" or (on == "host") != board.emulation.host:
        here = "the host" if board.emulation.host else "qemu or unicorn"
        if board.emulation.gvsoc:
            here += " or gvsoc"
        raise TinygenError(
            f"{project} is for board {board.name} and runs on {here}, not on {on}: create a "
            "project for another board with `tinygen new --board`"
        )
    return on


def _result(
    description: Project, place: Place, built: Built, console: Console, status: int
) -> RunResult:
    if console.fault:
        raise TinygenError(f"the firmware crashed: {_describe(console.fault, built.elf)}")
    boot, done, samples = console.boot, console.done, console.samples
    if boot is None or done is None:
        raise TinygenError(
            f"{built.elf.name} ended with status {status} before its self-test did: "
            f"{console.last_words}"
        )
    if boot.layers != len(description.layers) or done.samples != len(samples):
        raise TinygenError(
            f"{built.elf.name} reports {boot.layers} layers and {done.samples} samples, but "
            f"{len(description.layers)} and {len(samples)} were expected: delete the project's "
            "build folder and run again"
        )
    matching = sum(s.equal for s in samples)
    first = next((s for s in samples if not s.equal), None)
    # Unicorn counts the first sample only.
    counted = [] if boot.counter == "none" else samples[:1] if place == "unicorn" else samples
    shown = typical(counted, boot.counter)
    counts: list[int | None] = list(shown.counts) if shown else [None] * len(description.layers)
    return RunResult(
        passed=status == 0 and matching == len(samples) > 0,
        board=description.board,
        on=place,
        compiler=built.compiler,
        samples=len(samples),
        matching=matching,
        counter=None if boot.counter == "none" else boot.counter,
        total=shown.total if shown else None,
        layers=tuple(
            LayerCount(layer.name, layer.op, count)
            for layer, count in zip(description.layers, counts, strict=True)
        ),
        answers=answers_of(samples, description.outputs),
        stack=done.stack if done.stack >= 0 else None,
        arena_bytes=description.arena_bytes,
        flash_bytes=built.flash_bytes,
        ram_bytes=built.ram_bytes,
        mismatch=None if first is None else _mismatch(first.i, first.at, first.got, first.promised),
        elf=built.elf,
    )


def _mismatch(sample: int, *where: int | None) -> Mismatch | None:
    return None if None in where else Mismatch(sample, *cast(tuple[int, int, int], where))


def _describe(fault: Fault, path: Path) -> str:
    elf = read_elf(path)
    cause = _cause(fault)
    if fault.pc is None:
        return f"{cause}; the stack pointer 0x{fault.sp:08x} is outside the stack (overflow)"
    caller = "" if fault.lr is None else f", called from {elf.describe(fault.lr & ~1)}"
    registers = ", ".join(
        f"{name} 0x{value:08x}"
        for name, value in (("CFSR", fault.cfsr), ("HFSR", fault.hfsr), ("BFAR", fault.bfar))
        if value is not None
    )
    return f"{cause} at {elf.describe(fault.pc)}{caller} ({registers})"


_CAUSES = (
    (1 << 25, "division by zero"),
    (1 << 24, "unaligned access"),
    (1 << 19, "use of an absent or disabled FPU"),
    (1 << 16, "undefined instruction"),
    (1 << 12, "stack overflow"),
    (1 << 9, "access to an address where there is no memory"),
    (1 << 10, "access to an address where there is no memory"),
    (1 << 8, "execution where there is no memory"),
    (3, "access that the memory protection forbids"),
)


def _cause(fault: Fault) -> str:
    found = next((text for mask, text in _CAUSES if (fault.cfsr or 0) & mask), None)
    if found is None and fault.exception >= 16:
        return f"interrupt {fault.exception - 16}, for which there is no tg_irq"
    return found or f"exception {fault.exception}"
