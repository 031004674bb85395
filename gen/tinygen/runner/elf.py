# SPDX-License-Identifier: Apache-2.0
"""The little of ELF that the runner needs: sizes, segments to load, the function at an address."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from tinygen.errors import TinygenError

_SHT_NOBITS, _SHT_SYMTAB, _STT_FUNC, _PT_LOAD = 8, 2, 2, 1
_SHF_WRITE, _SHF_ALLOC = 1, 2


@dataclass(frozen=True)
class Segment:
    """Bytes to place at a physical address."""

    address: int
    data: bytes


@dataclass(frozen=True)
class Elf:
    """entry: with the Thumb bit. functions: (address, name), sorted."""

    entry: int
    flash_bytes: int
    ram_bytes: int
    segments: tuple[Segment, ...]
    functions: tuple[tuple[int, str], ...]

    def describe(self, address: int) -> str:
        """`digits_run+0x12 (0x00000a52)`."""
        below = [f for f in self.functions if f[0] <= address]
        if not below:
            return f"0x{address:08x}"
        start, name = below[-1]
        return f"{name}+0x{address - start:x} (0x{address:08x})"


def read_elf(path: Path) -> Elf:
    """Little-endian, 32 or 64 bit; `TinygenError` for anything else."""
    data = path.read_bytes()
    if data[:4] != b"\x7fELF" or data[5] != 1:
        raise TinygenError(
            f"{path}: not a little-endian ELF file; delete the build folder and retry"
        )
    wide = data[4] == 2
    header = struct.unpack_from("<HHIQQQIHHHHHH" if wide else "<HHIIIIIHHHHHH", data, 16)
    entry, phoff, shoff = header[3:6]
    phentsize, phnum, shentsize, shnum = header[8:12]

    segments = []
    for i in range(phnum):
        fields = struct.unpack_from(
            "<IIQQQQQQ" if wide else "<IIIIIIII", data, phoff + i * phentsize
        )
        if wide:
            kind, _, offset, _, physical, size = fields[:6]
        else:
            kind, offset, _, physical, size = fields[:5]
        if kind == _PT_LOAD and size:
            segments.append(Segment(physical, data[offset : offset + size]))

    sections = [
        struct.unpack_from("<IIQQQQIIQQ" if wide else "<IIIIIIIIII", data, shoff + i * shentsize)
        for i in range(shnum)
    ]
    allocated = [s for s in sections if s[2] & _SHF_ALLOC]
    return Elf(
        entry=entry,
        flash_bytes=sum(s[5] for s in allocated if s[1] != _SHT_NOBITS),
        ram_bytes=sum(s[5] for s in allocated if s[1] == _SHT_NOBITS or s[2] & _SHF_WRITE),
        segments=tuple(segments),
        functions=tuple(sorted(_functions(data, sections, wide))),
    )


def _functions(data: bytes, sections: list[tuple[int, ...]], wide: bool) -> list[tuple[int, str]]:
    found = []
    for section in sections:
        if section[1] != _SHT_SYMTAB:
            continue
        names = sections[section[6]][4]
        for at in range(section[4], section[4] + section[5], 24 if wide else 16):
            if wide:
                name, info, _, _, value, _ = struct.unpack_from("<IBBHQQ", data, at)
            else:
                name, value, _, info, _, _ = struct.unpack_from("<IIIBBH", data, at)
            if info & 15 == _STT_FUNC:
                end = data.index(b"\0", names + name)
                found.append((value & ~1, data[names + name : end].decode(errors="replace")))
    return found
