# SPDX-License-Identifier: Apache-2.0
"""The memory protection unit: its registers, and what the regions forbid to privileged code."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

_TYPE, _CTRL, _RNR, _RBAR, _RASR = 0x00, 0x04, 0x08, 0x0C, 0x10
_ENABLE, _PRIVDEFENA = 1, 4


@dataclass(frozen=True)
class Denied:
    """Addresses from first to last, and what is forbidden there."""

    first: int
    last: int
    read: bool
    write: bool
    execute: bool
    region: int | None


@dataclass(frozen=True)
class _Region:
    number: int
    first: int
    last: int
    read: bool
    write: bool
    execute: bool


class Mpu:
    """v7 (and v6) regions have a size that is a power of two, v8 ones a base and a limit."""

    def __init__(self, regions: int, v8: bool) -> None:
        self._count, self._v8 = regions, v8
        self._ctrl = self._rnr = 0
        self._base: dict[int, int] = {}
        self._attributes: dict[int, int] = {}
        self._other: dict[int, int] = {}
        self.changed = False

    def read(self, offset: int) -> int:
        if offset == _TYPE:
            return self._count << 8
        if offset == _CTRL:
            return self._ctrl
        if offset == _RNR:
            return self._rnr
        pair = self._pair(offset)
        if pair is None:
            return self._other.get(offset, 0)
        number, is_base = pair
        value = (self._base if is_base else self._attributes).get(number, 0)
        return value & ~0x1F | number & 0xF if is_base and not self._v8 else value

    def write(self, offset: int, value: int) -> None:
        if offset == _CTRL:
            self._ctrl, self.changed = value & 7, True
        elif offset == _RNR:
            self._rnr = value & 0xFF
        elif (pair := self._pair(offset)) is None:
            self._other[offset] = value
        else:
            number, is_base = pair
            if is_base and not self._v8 and value & 0x10:  # VALID: the number is in the register
                number = self._rnr = value & 0xF
            (self._base if is_base else self._attributes)[number] = value
            self.changed = True

    def _pair(self, offset: int) -> tuple[int, bool] | None:
        """(region, whether it is its base) of RBAR, RASR or RLAR, and of their aliases."""
        if not _RBAR <= offset < 0x2C:
            return None
        alias, second = divmod(offset - _RBAR, 8)
        number = (self._rnr & ~3) + alias if self._v8 and alias else self._rnr
        return number, second == 0

    def denied(self) -> list[Denied]:
        """What privileged code must not do, as ranges that do not overlap."""
        if not self._ctrl & _ENABLE:
            return []
        regions = [r for n in range(self._count) for r in self._regions(n)]
        cuts = sorted({0, 1 << 32, *(r.first for r in regions), *(r.last + 1 for r in regions)})
        found: list[Denied] = []
        for first, end in pairwise(cuts):
            covering = [r for r in regions if r.first <= first and end - 1 <= r.last]
            if not covering:
                if self._ctrl & _PRIVDEFENA:
                    continue
                denied = Denied(first, end - 1, True, True, True, None)
            elif self._v8 and len(covering) > 1:  # regions of v8 must not overlap
                denied = Denied(first, end - 1, True, True, True, covering[-1].number)
            else:
                r = covering[-1]
                if r.read and r.write and r.execute:
                    continue
                denied = Denied(first, end - 1, not r.read, not r.write, not r.execute, r.number)
            found.append(denied)
        return found

    def _regions(self, number: int) -> list[_Region]:
        base, attributes = self._base.get(number, 0), self._attributes.get(number, 0)
        if not attributes & 1:
            return []
        if self._v8:
            write = not base >> 2 & 1
            execute = not base & 1
            last = attributes & ~0x1F | 0x1F
            return [_Region(number, base & ~0x1F, last, True, write, execute)]
        permission = attributes >> 24 & 7
        read, write = permission != 0, permission in (1, 2, 3)
        execute = read and not attributes >> 28 & 1
        size = 2 << (attributes >> 1 & 0x1F)
        start = base & ~0x1F & ~(size - 1)
        if size < 256:
            return [_Region(number, start, start + size - 1, read, write, execute)]
        eighth, off = size // 8, attributes >> 8 & 0xFF
        return [
            _Region(number, start + i * eighth, start + (i + 1) * eighth - 1, read, write, execute)
            for i in range(8)
            if not off >> i & 1
        ]
