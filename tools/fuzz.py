# SPDX-License-Identifier: Apache-2.0
"""Thousands of random graphs and damaged files: what is found, and what became of the rest.

Usage: python tools/fuzz.py graphs --count 5000 --seed 0      random graphs against onnxruntime
       python tools/fuzz.py files --count 2000 --seed 0       damaged models, samples and boards
       python tools/fuzz.py graphs --case 17 --keep FOLDER    one of them again, its files kept

A find is a traceback, more than 10 s of one processor, a sentence that names nothing of the model,
or a number that rounding does not explain. Exit status 1 if there is one.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "gen")]
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from fuzz.workers import Job, Outcome, run_all, run_one  # noqa: E402


def kind_of_sentence(text: str) -> str:
    """A sentence without its names and numbers."""
    text = re.sub(r"^\S+(\.onnx|\.npz|\.yaml):? ", "", text)
    text = re.sub(r"input \S+ has batch \d+: .*?\(", "batch: (", text)
    text = re.sub(r"^quantised, but tinygen cannot take .*?\(", "quantised, but (", text)
    text = re.sub(r"\bnode \S+", "node", text)
    text = re.sub(r"\b[tcxn]\d+\w*", "t", text)
    text = re.sub(r"\[[^\]]*\]|\d[\d.e+-]*", "N", text)
    return text[:110]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("graphs", "files"))
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--case", type=int, help="only this one")
    parser.add_argument("--keep", type=Path, help="with --case: a folder for its files")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    if args.case is not None:
        with tempfile.TemporaryDirectory() as scratch:
            folder = args.keep or Path(scratch)
            folder.mkdir(parents=True, exist_ok=True)
            outcome = run_one(Job(args.what, args.seed, args.case), folder)
        print(f"{outcome.kind} in {outcome.seconds:.2f} s: {outcome.text}")
        return 1 if outcome.kind == "find" else 0
    start = time.monotonic()
    jobs = [Job(args.what, args.seed, args.first + i) for i in range(args.count)]
    found, counts, sentences = 0, Counter[str](), Counter[str]()
    longest = Outcome(0, "", "", 0.0)
    for outcome in run_all(jobs, args.workers):
        counts[outcome.kind] += 1
        longest = max(longest, outcome, key=lambda o: o.seconds)
        if outcome.kind == "refused":
            sentences[kind_of_sentence(outcome.text)] += 1
        if outcome.kind == "find":
            found += 1
            print(f"case {outcome.case}: {outcome.text}", flush=True)
    took = time.monotonic() - start
    print(f"{len(jobs)} {args.what}, seed {args.seed}: {dict(counts)}, {took:.0f} s", end="")
    print(f", the longest {longest.seconds:.1f} s (case {longest.case})")
    for text, count in sentences.most_common():
        print(f"{count:6} refused: {text}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
