# SPDX-License-Identifier: Apache-2.0
"""An ELF file as the image of a board: whether it is one, and names for its addresses."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinygen.boards import Board
from tinygen.boards.chip import Chip
from tinygen.errors import TinygenError
from tinygen.runner.elf import Elf, read_elf

_BOARDS = re.compile(rb"\0CONFIG_BOARD_([A-Z0-9_]+)(?=\0)")
_NO_BOARDS = {"TARGET", "REVISION", "QUALIFIERS"}
_ARM = 40


@dataclass(frozen=True)
class Image:
    """vectors: address of the vector table."""

    path: Path
    elf: Elf
    vectors: int

    def place(self, address: int) -> str:
        """`digits_run+0x12 (0x08000a52, src/model/digits.c:40)`."""
        name = self.elf.describe(address)
        line = source_line(self.path, address)
        return name.replace(")", f", {line})") if line and name.endswith(")") else name


def read_image(path: Path, board: Board, chip: Chip) -> Image:
    """`TinygenError` for a file that is damaged, or is no image of this board."""
    again = "build it again, or name another file with --elf"
    try:
        data = path.read_bytes()
        elf = read_elf(path)
    except FileNotFoundError:
        raise TinygenError(f"{path} is not there: build the project, or correct --elf") from None
    except OSError as e:
        raise TinygenError(f"{path} cannot be read ({e.strerror})") from None
    except (struct.error, IndexError, ValueError):
        raise TinygenError(f"{path} is a damaged ELF file: {again}") from None
    if len(data) < 20 or int.from_bytes(data[18:20], "little") != _ARM or data[4] != 1:
        raise TinygenError(f"{path} is not for a 32-bit Arm core: {again}")
    if not elf.segments:
        raise TinygenError(f"{path} has nothing to load: {again}")
    _check_board(path, data, board)
    spans = [(r.base, r.size) for r in board.memory if r.kind != "external"]
    spans += [(m.base, m.size) for m in chip.memory]
    for segment in elf.segments:
        if not any(_inside(segment.address, len(segment.data), *span) for span in spans):
            raise TinygenError(
                f"{path} loads {len(segment.data)} bytes at 0x{segment.address:08x}, where "
                f"{board.name} has no memory: it was built for another board"
            )
    return Image(path, elf, _vectors(path, elf, board))


def _check_board(path: Path, data: bytes, board: Board) -> None:
    """Zephyr leaves the names of its options, CONFIG_BOARD_<name> among them, in the symbols."""
    names = {m.decode() for m in _BOARDS.findall(data)} - _NO_BOARDS
    if not names or board.zephyr is None:
        return
    wanted = re.sub(r"\W", "_", board.zephyr.board.split("/")[0]).upper()
    if wanted not in names:
        found = min(names, key=len).lower()
        raise TinygenError(
            f"{path} was built for Zephyr's board {found}, not for {board.zephyr.board}: build "
            f"this project, or run it in a project of that board"
        )


def _inside(address: int, size: int, base: int, length: int) -> bool:
    return base <= address and address + size <= base + length


def _vectors(path: Path, elf: Elf, board: Board) -> int:
    """The table where the lowest segment in flash begins: a stack in RAM, a reset in code."""
    flash = [
        s for s in elf.segments if any(_inside(s.address, 1, r.base, r.size) for r in board.flash)
    ]
    if flash and len(first := min(flash, key=lambda s: s.address).data) >= 8:
        stack, reset = struct.unpack_from("<II", first)
        in_ram = any(r.base < stack <= r.base + r.size for r in board.ram)
        in_code = any(_inside(reset & ~1, 2, s.address, len(s.data)) for s in elf.segments)
        if in_ram and in_code and reset & 1:
            return min(s.address for s in flash)
    raise TinygenError(
        f"{path} has no vector table where {board.name} starts: is it the image of another board, "
        "or one that a bootloader starts?"
    )


def source_line(path: Path, address: int) -> str | None:
    """`main.c:12`, where the file has debug information and pyelftools is installed."""
    try:
        from elftools.elf.elffile import ELFFile
    except ImportError:
        return None
    try:
        with path.open("rb") as file:
            elf = ELFFile(file)
            return _find_line(elf.get_dwarf_info(), address) if elf.has_dwarf_info() else None
    except Exception:  # debug information of a form that pyelftools does not know: no line then
        return None


def _find_line(dwarf: Any, address: int) -> str | None:
    ranges = dwarf.get_aranges()
    offset = ranges.cu_offset_at_addr(address) if ranges else None
    units = [dwarf.get_CU_at(offset)] if offset is not None else dwarf.iter_CUs()
    for unit in units:
        program = dwarf.line_program_for_CU(unit)
        if program is None:
            continue
        before = None
        for entry in program.get_entries():
            state = entry.state
            if state is None:
                continue
            if before is not None and before.address <= address < state.address:
                return f"{_file(program, before.file)}:{before.line}"
            before = None if state.end_sequence else state
    return None


def _file(program: Any, number: int) -> str:
    entries = program.header.file_entry
    first = 1 if program.header.version < 5 else 0
    return Path(entries[number - first].name.decode(errors="replace")).name
