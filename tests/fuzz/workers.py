# SPDX-License-Identifier: Apache-2.0
"""Cases in processes of their own: one that crashes or hangs is a find, and the rest goes on."""

from __future__ import annotations

import multiprocessing
import resource
import signal
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from tinygen.passes import engine

LIMIT = 10.0
"""Seconds of the processor for one case; the parent waits six times that on the clock."""
MEMORY = 6 << 30


@dataclass(frozen=True)
class Job:
    """what: graphs or files."""

    what: str
    seed: int
    case: int


@dataclass(frozen=True)
class Outcome:
    """kind: as of `fuzz.judge.Verdict`.  seconds: of the processor."""

    case: int
    kind: str
    text: str
    seconds: float


class TooLong(BaseException):
    """Not an Exception, so that nothing on the way takes it for a fault of a file."""


def _ring(signum: int, frame: Any) -> None:
    raise TooLong


def run_one(job: Job, folder: Path) -> Outcome:
    """In this process, the main thread of which may be interrupted after `LIMIT`."""
    from fuzz.draw import draw
    from fuzz.files import damaged
    from fuzz.judge import Verdict, judge

    engine.STRICT = True
    old = signal.signal(signal.SIGPROF, _ring)
    start = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, LIMIT)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            if job.what == "files":
                verdict = damaged(job.seed, job.case, folder)
            else:
                verdict = judge(draw(job.seed, job.case), folder, job.case)
    except TooLong:
        at = traceback.format_exc().strip().splitlines()[-4:]
        verdict = Verdict("find", f"more than {LIMIT:.0f} s: {' '.join(a.strip() for a in at)}")
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno} {last.line}"
        verdict = Verdict("find", f"traceback: {type(error).__name__} {error} at {where}")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, old)
    return Outcome(job.case, verdict.kind, verdict.text, time.process_time() - start)


def _work(pipe: Connection) -> None:
    import logging

    logging.raiseExceptions = False
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        while (job := pipe.recv()) is not None:
            pipe.send(run_one(job, Path(folder)))


class _Worker:
    def __init__(self) -> None:
        self.pipe, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("fork")
        self.process = context.Process(target=_work, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        self.job: Job | None = None
        self.since = 0.0

    def give(self, job: Job) -> None:
        self.job, self.since = job, time.monotonic()
        self.pipe.send(job)


def run_all(jobs: Sequence[Job], workers: int = 2) -> Iterator[Outcome]:
    """Every job's outcome, as it comes."""
    waiting = list(reversed(jobs))
    team = [_Worker() for _ in range(min(workers, len(jobs)))]
    for worker in team:
        worker.give(waiting.pop())
    while team:
        ready = wait([w.pipe for w in team], timeout=1)
        for worker in list(team):
            outcome = None
            assert worker.job is not None
            if worker.pipe in ready:
                try:
                    outcome = worker.pipe.recv()
                except EOFError:
                    worker.process.join()
                    text = f"crash of the process, exit {worker.process.exitcode}"
                    outcome = Outcome(worker.job.case, "find", text, 0.0)
            elif time.monotonic() - worker.since > 6 * LIMIT:
                worker.process.kill()
                outcome = Outcome(worker.job.case, "find", "hangs in native code", 6 * LIMIT)
            if outcome is None:
                continue
            yield outcome
            if not waiting:
                if worker.process.is_alive():
                    worker.pipe.send(None)
                team.remove(worker)
                continue
            if not worker.process.is_alive():
                team[team.index(worker)] = worker = _Worker()
            worker.give(waiting.pop())
