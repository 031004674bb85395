# SPDX-License-Identifier: Apache-2.0
"""Firmware in QEMU at the other end of a pseudo-terminal, as a board is at a serial line's."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 2.0
"""Seconds until the firmware starts: QEMU looks once a second whether somebody listens."""


@contextmanager
def qemu_on_a_terminal(machine: str, elf: Path, semihosting: bool) -> Iterator[str]:
    """Name of the terminal. semihosting: where the firmware prints, else the first UART.

    QEMU waits until the caller has opened the terminal.
    """
    console = ["-serial", "pty"]
    if semihosting:
        console = ["-serial", "none", "-chardev", "pty,id=line"]
        console += ["-semihosting-config", "enable=on,target=native,chardev=line"]
    command = [
        *("qemu-system-arm", "-machine", machine, "-icount", "shift=8", "-S"),
        *("-display", "none", "-monitor", "stdio", *console, "-kernel", str(elf)),
    ]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert process.stdin is not None and process.stdout is not None
        found = None
        while found is None:
            line = process.stdout.readline()
            assert line, "QEMU ended"
            found = re.search(r"redirected to (\S+)", line)

        def start() -> None:
            assert process.stdin is not None
            process.stdin.write("cont\n")
            process.stdin.flush()

        timer = threading.Timer(PATIENCE, start)
        timer.start()
        try:
            yield found[1]
        finally:
            timer.cancel()
    finally:
        process.kill()
        process.wait()
