# SPDX-License-Identifier: Apache-2.0
"""Modules of the generator know only what lies below them, and none outgrows a reader.

Which layers there are stands in pyproject.toml ([tool.importlinter]).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

grimp = pytest.importorskip("grimp")
pytest.importorskip("importlinter")

ROOT = Path(__file__).parents[2]
GEN = ROOT / "gen"
LINES = 400


def circles(imports: Mapping[str, set[str]]) -> set[str]:
    """Modules in a circle, or between two: what is left when those that import nothing go."""
    left = {m: set(found) for m, found in imports.items()}
    while free := {m for m, found in left.items() if not found & left.keys()}:
        left = {m: found for m, found in left.items() if m not in free}
    while free := {m for m in left if not any(m in found for found in left.values())}:
        left = {m: found for m, found in left.items() if m not in free}
    return set(left)


def contracts(gen: Path) -> tuple[int, str]:
    """What import-linter says of a generator in this folder."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    environment = dict(os.environ, PYTHONPATH=str(gen), COLUMNS="200", NO_COLOR="1")
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_a_circle_is_found() -> None:
    chain = {"a": {"b"}, "b": {"c"}, "c": set[str]()}
    assert circles(chain) == set()
    assert circles({**chain, "c": {"b"}}) == {"b", "c"}


def test_no_circle_of_imports() -> None:
    """Imports for type checking count."""
    sys.path.insert(0, str(GEN))  # an installed tinygen may be another tree
    try:
        graph = grimp.build_graph("tinygen", cache_dir=None)
    finally:
        sys.path.remove(str(GEN))
    imports = {m: graph.find_modules_directly_imported_by(m) for m in graph.modules}
    assert len(imports) > 150
    assert ("tinygen.report.records", "tinygen.planner") in {
        (m, d) for m in imports for d in imports[m]
    }
    assert circles(imports) == set()


def test_contracts_are_kept() -> None:
    status, text = contracts(GEN)
    assert status == 0, text
    assert " 0 broken" in text


@pytest.mark.parametrize(
    ("file", "line"),
    (
        ("numeric/requant.py", "from tinygen.targets import TARGETS"),
        ("planner/cost.py", "from tinygen.planner.plan import Plan"),
        ("passes/order.py", "from tinygen.passes.engine import Scope"),
        ("graph/graph.py", "    from tinygen.planner import Plan"),
    ),
)
def test_a_step_upwards_is_found(file: str, line: str, tmp_path: Path) -> None:
    """Also where only a type is meant."""
    shutil.copytree(GEN / "tinygen", tmp_path / "tinygen")
    path = tmp_path / "tinygen" / file
    assert path.exists()
    typed = "\nfrom typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n" if line[0] == " " else "\n"
    path.write_text(path.read_text(encoding="utf-8") + typed + line + "\n", encoding="utf-8")
    status, text = contracts(tmp_path)
    module = f"tinygen.{file.removesuffix('.py').replace('/', '.')}"
    assert status == 1 and f"{module} -> {line.split()[1]}" in text, text


def test_a_new_module_needs_a_place(tmp_path: Path) -> None:
    shutil.copytree(GEN / "tinygen", tmp_path / "tinygen")
    (tmp_path / "tinygen" / "planner" / "anything.py").write_text("")
    status, text = contracts(tmp_path)
    assert status == 1 and "anything" in text, text


def test_no_module_is_long() -> None:
    lengths = {
        f.relative_to(GEN).as_posix(): len(f.read_text(encoding="utf-8").splitlines())
        for f in (GEN / "tinygen").rglob("*.py")
    }
    assert len(lengths) > 150
    assert {f: n for f, n in lengths.items() if n > LINES} == {}
