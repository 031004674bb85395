# SPDX-License-Identifier: Apache-2.0
"""Firmware in QEMU at the other end of a pseudo-terminal, as a board is at a serial line's.

QEMU's own terminal goes when its program ends, with what nobody has read yet; this one stays.
"""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 2.0
"""Seconds that the caller has to open the terminal: what came before is lost then, as on a line."""


@contextmanager
def qemu_on_a_terminal(machine: str, elf: Path, semihosting: bool) -> Iterator[str]:
    """Name of the terminal. semihosting: where the firmware prints, else the first UART."""
    console = ["-serial", "chardev:line"]
    if semihosting:
        console = ["-serial", "none"]
        console += ["-semihosting-config", "enable=on,target=native,chardev=line"]
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    os.set_blocking(ours, False)
    over = threading.Event()
    with tempfile.TemporaryDirectory() as scratch, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{scratch}/line")
        listener.listen()
        listener.settimeout(30)
        command = [
            *("qemu-system-arm", "-machine", machine, "-icount", "shift=8", "-S"),
            *("-display", "none", "-monitor", "stdio"),
            *("-chardev", f"socket,id=line,path={scratch}/line", *console, "-kernel", str(elf)),
        ]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        try:
            link, _ = listener.accept()
            relay = threading.Thread(target=_relay, args=(link, ours, over))
            relay.start()
            assert process.stdin is not None
            monitor = process.stdin

            def start() -> None:
                monitor.write(b"cont\n")
                monitor.flush()

            timer = threading.Timer(PATIENCE, start)
            timer.start()
            try:
                yield os.ttyname(theirs)
            finally:
                timer.cancel()
                over.set()
        finally:
            process.kill()
            process.wait()
    relay.join()
    os.close(ours)
    os.close(theirs)


def _relay(link: socket.socket, terminal: int, over: threading.Event) -> None:
    """Until QEMU ends, or the caller has seen enough."""
    with link:
        while data := link.recv(4096):
            while data and not over.is_set():
                try:
                    data = data[os.write(terminal, data) :]
                except BlockingIOError:  # nobody has read for a while
                    time.sleep(0.01)
