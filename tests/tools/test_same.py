# SPDX-License-Identifier: Apache-2.0
"""tools/same.py sees one changed byte, names it, and is quiet where nothing changed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CASE = "digits/mps2_an385/baremetal"


def same(*args: object) -> tuple[int, str]:
    command = [sys.executable, str(ROOT / "tools" / "same.py"), *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode in (0, 1) and not done.stderr, done.stderr
    return done.returncode, done.stdout


def record(out: Path, gen: Path = ROOT / "gen", only: str = CASE) -> Path:
    assert same("record", out, "--only", only, "--gen", gen, "-j", 1)[0] == 0
    return out


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def now(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("same") / "now.json")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree that generates, to be changed."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("gen", "boards", "kernels", "templates"):
        shutil.copytree(ROOT / name, tree / name)
    return tree


def test_a_record_holds_files_reports_and_numbers(now: Path) -> None:
    case = read(now)[CASE]
    for file in ("src/main.c", "tinygen.json", "plan.json", "report.txt", "report.html"):
        assert len(case["files"][file]) == 64
    assert case["predicted"]["insn_predicted"] > 0 and case["predicted"]["arena_bytes"] > 0
    assert all(layer.split()[-1].isdigit() for layer in case["predicted"]["layers"])


def test_another_tree_and_another_version_are_equal(now: Path, copy: Path, tmp_path: Path) -> None:
    package = copy / "gen" / "tinygen" / "__init__.py"
    sound = package.read_text()
    package.write_text(sound.replace('__version__ = "', '__version__ = "9'))
    try:
        after = record(tmp_path / "after.json", copy / "gen")
    finally:
        package.write_text(sound)
    status, text = same("compare", now, after)
    assert (status, text.count("\n")) == (0, 1) and "1 cases" in text and ": 0 differ" in text


def test_a_changed_byte_is_found_and_named(now: Path, copy: Path, tmp_path: Path) -> None:
    with (copy / "kernels" / "src" / "common" / "arith.h").open("a") as header:
        header.write("\n")
    after = record(tmp_path / "after.json", copy / "gen")
    status, text = same("compare", now, after)
    assert status == 1
    *lines, last = text.splitlines()
    assert lines == [
        f"{CASE}: src/tinygen/src/common/arith.h differs",
        f"{CASE}: tinygen.json differs",
    ]
    assert last.endswith(": 2 differences")
    for pattern in ("*.h", f"{CASE}: src/*"):
        status, text = same("compare", now, after, "--ignore", pattern)
        assert status == 1 and text.splitlines()[:-1] == lines[1:]
    assert same("compare", now, after, "--ignore", "*.h", "--ignore", "tinygen.json")[0] == 0


def test_a_lost_file_a_number_and_a_sentence_are_named(now: Path, tmp_path: Path) -> None:
    after = read(now)
    del after[CASE]["files"]["src/main.c"]
    after[CASE]["predicted"]["arena_bytes"] += 1
    after["other"] = {"refused": "too large"}
    changed = tmp_path / "after.json"
    changed.write_text(json.dumps(after))
    status, text = same("compare", now, changed)
    assert status == 1 and f"{CASE}: src/main.c is gone" in text and "other: only after" in text
    assert f"{CASE}: predicted arena_bytes " in text
    before = tmp_path / "before.json"
    before.write_text(json.dumps({"other": {"refused": "too slow"}, CASE: after[CASE]}))
    assert "other: refused 'too slow' -> 'too large'" in same("compare", before, changed)[1]


def test_a_refusal_is_recorded_without_paths(tmp_path: Path) -> None:
    only = "digits/mps2_an385/max_latency=1.0"
    refused = read(record(tmp_path / "refused.json", only=only))
    assert "more than --max-latency grants" in refused[only]["refused"]
    assert str(tmp_path) not in json.dumps(refused) and str(ROOT) not in json.dumps(refused)


def test_no_such_case(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "tools" / "same.py"), "record", str(tmp_path / "a.json")]
    done = subprocess.run([*command, "--only", "nosuch"], capture_output=True, text=True)
    assert done.returncode == 1 and "nosuch" in done.stderr
