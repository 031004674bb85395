# SPDX-License-Identifier: Apache-2.0
"""The registers of a chip's peripherals: they read back what was written, and where the family's
file says so, ready bits follow enable bits and USARTs print."""

from __future__ import annotations

from collections.abc import Callable

from tinygen.boards.chip import Chip, Uart

_PATIENCE = 300
"""Reads of one register, with no other access in between, before its bits begin to toggle: a status
bit that no model knows is waited for by then."""
_ALL = 0xFFFFFFFF

# Of USARTs with SR and DR, and of those with ISR and TDR: CR1, status, receive, transmit register.
_OFFSETS = {"sr-dr": (0x0C, 0x00, 0x04, 0x04), "isr-tdr": (0x00, 0x1C, 0x24, 0x28)}
_TXE, _TC = 1 << 7, 1 << 6
_ACKNOWLEDGED = 3 << 21  # TEACK, REACK


class Bus:
    """Words by address. `read` and `write` take 1, 2 or 4 bytes."""

    def __init__(self, chip: Chip, transmit: Callable[[str, int], None]) -> None:
        """transmit: called with the USART's name and each byte that it sends."""
        self._transmit = transmit
        self.words: dict[int, int] = {}
        for reset in chip.reset:
            for i in range(reset.count):
                self.words[reset.register_ + 4 * i] = reset.value
        self._ready = {r.register_: r for r in chip.ready}
        self._last, self._reads = -1, 0
        self.toggled: list[int] = []
        """Registers whose bits had to toggle, in the order of their first time."""
        control, status, receive, send = _OFFSETS[chip.usart]
        self._status: dict[int, Uart] = {}
        self._send: dict[int, str] = {}
        self._receive: set[int] = set()
        self._control: dict[int, Uart] = {}
        for name, uart in chip.uarts.items():
            self._control[uart.base + control] = uart
            self._status[uart.base + status] = uart
            self._receive.add(uart.base + receive)
            self._send[uart.base + send] = name
        self._acknowledged = _ACKNOWLEDGED if chip.usart == "isr-tdr" else 0

    def read(self, address: int, size: int) -> int:
        word = self._word(address & ~3)
        return word >> 8 * (address & 3) & (_ALL >> 8 * (4 - size))

    def write(self, address: int, size: int, value: int) -> None:
        base, shift = address & ~3, 8 * (address & 3)
        self._last = -1
        name = self._send.get(base)
        if name is not None:
            self._transmit(name, value & 0xFF)
            return
        mask = (_ALL >> 8 * (4 - size)) << shift
        self.words[base] = self.words.get(base, 0) & ~mask | value << shift & mask

    def wants_interrupt(self) -> list[int]:
        """Interrupts that USARTs ask for: an empty transmitter whose interrupt is enabled."""
        return [
            uart.irq
            for register, uart in self._control.items()
            if uart.irq is not None and self.words.get(register, 0) & (_TXE | _TC)
        ]

    def is_uart_control(self, address: int) -> bool:
        return address & ~3 in self._control

    @property
    def waited_for(self) -> int | None:
        """The register that was read again and again, last of all."""
        return self._last if self._reads > _PATIENCE else None

    def _word(self, address: int) -> int:
        self._reads = self._reads + 1 if address == self._last else 1
        self._last = address
        if address in self._status:
            return _TXE | _TC | self._acknowledged
        if address in self._receive:
            return 0
        word = self.words.get(address, 0)
        ready = self._ready.get(address)
        if ready is not None:
            source = word if ready.source is None else self.words.get(ready.source, 0)
            word |= ready.always
            for (low, count), (source_low, _) in ready.bits:
                mask = (1 << count) - 1
                word = word & ~(mask << low) | (source >> source_low & mask) << low
        if self._reads <= _PATIENCE:
            return word
        if address not in self.toggled:
            self.toggled.append(address)
        return word ^ _ALL if self._reads & 1 else word
