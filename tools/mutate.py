# SPDX-License-Identifier: Apache-2.0
"""Do the tests catch a fault? Put each fault of faults.yaml into a copy of the tree, one at a time,
run the tests that must notice, and take it out again.

Usage: python tools/mutate.py [NAME ...]     all faults, or those whose name begins so

A fault is one text in one file, replaced by another. It is caught if one of its named tests fails;
it lives if they all pass. Exit status 1 if one lives, or if a test fails without any fault.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
FAULTS = Path(__file__).parent / "faults.yaml"
TESTS_FAILED = 1
"""pytest's exit status where tests ran and failed; others say that none ran."""


@dataclass(frozen=True)
class Fault:
    """was, becomes: texts; ``was`` occurs once in the file.  tests: pytest's names for them."""

    name: str
    file: Path
    was: str
    becomes: str
    tests: tuple[str, ...]


def load_faults() -> list[Fault]:
    entries = yaml.safe_load(FAULTS.read_text(encoding="utf-8"))
    return [
        Fault(e["name"], Path(e["file"]), e["was"], e["becomes"], tuple(e["tests"]))
        for e in entries
    ]


def copy_of_the_tree(to: Path) -> None:
    """Everything that git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


def run_tests(tree: Path, tests: tuple[str, ...]) -> int:
    """pytest's exit status in a copy of the tree."""
    environment = dict(os.environ, PYTHONPATH=str(tree / "gen"), PYTHONDONTWRITEBYTECODE="1")
    command = [sys.executable, "-m", "pytest", "-q", "-x", *tests]
    return subprocess.run(
        command, cwd=tree, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ).returncode


def is_caught(tree: Path, fault: Fault) -> bool:
    """Whether a named test fails with the fault in."""
    file = tree / fault.file
    sound = file.read_text(encoding="utf-8")
    if sound.count(fault.was) != 1:
        raise SystemExit(
            f"{fault.name}: {fault.file} does not hold its text once: mend faults.yaml"
        )
    file.write_text(sound.replace(fault.was, fault.becomes), encoding="utf-8")
    try:
        status = run_tests(tree, fault.tests)
    finally:
        file.write_text(sound, encoding="utf-8")
    if status not in (0, TESTS_FAILED):
        raise SystemExit(f"{fault.name}: pytest ran no test (status {status}): {fault.tests}")
    return status == TESTS_FAILED


def main(prefixes: list[str]) -> int:
    faults = [f for f in load_faults() if not prefixes or f.name.startswith(tuple(prefixes))]
    lived = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        copy_of_the_tree(tree)
        every = tuple(dict.fromkeys(t for f in faults for t in f.tests))
        if run_tests(tree, every) != 0:
            print("a named test fails without any fault, or there is none: mend that first")
            return 1
        for fault in faults:
            start = time.monotonic()
            caught = is_caught(tree, fault)
            lived += not caught
            took = time.monotonic() - start
            print(f"{'caught' if caught else 'LIVES '} {took:5.1f} s  {fault.name}", flush=True)
    print(f"{len(faults) - lived} of {len(faults)} faults caught")
    return 1 if lived else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
