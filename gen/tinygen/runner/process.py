# SPDX-License-Identifier: Apache-2.0
"""Run a program that prints the console protocol, with a limit on its time."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence

from tinygen.errors import TinygenError
from tinygen.runner.console import Console


def run_process(
    command: Sequence[str],
    console: Console,
    timeout: float,
    what: str,
    until: Callable[[], bool] = lambda: False,
) -> int:
    """Exit status; what the program writes goes to the console, stderr as other lines.

    until: asked after every line; the program is stopped once it is true, with status 0.
    """
    expired = threading.Event()
    stopped = False
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                errors="replace",
            )
        except OSError as e:
            raise TinygenError(f"{what} does not start: {e}") from None

        def expire() -> None:
            expired.set()
            process.kill()

        timer = threading.Timer(timeout, expire)
        timer.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                console.feed(line)
                if stopped := until():
                    process.kill()
                    break
            process.wait()
        finally:
            timer.cancel()
            process.kill()
            process.wait()
        console.close()
        errors.seek(0)
        for line in errors:
            console.feed(line)
        console.close()
    if expired.is_set():
        raise TinygenError(
            f"{what} did not end within {timeout:.0f} s: {console.last_words}; raise the timeout "
            "or run fewer samples"
        )
    return 0 if stopped else process.returncode
