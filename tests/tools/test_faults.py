# SPDX-License-Identifier: Apache-2.0
"""tools/faults.yaml keeps up with the code: every fault can be put in, every named test exists.

`python tools/mutate.py` shows that the tests catch them (four minutes)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import mutate  # noqa: E402

FAULTS = mutate.load_faults()


def test_there_are_twenty_in_passes_reference_planner_and_kernels() -> None:
    assert len(FAULTS) >= 20 and len({f.name for f in FAULTS}) == len(FAULTS)
    assert {f.name.split("-")[0] for f in FAULTS} == {"passes", "reference", "planner", "kernels"}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name)
def test_a_fault_fits_the_code(fault: mutate.Fault) -> None:
    assert (ROOT / fault.file).read_text(encoding="utf-8").count(fault.was) == 1
    assert fault.was != fault.becomes
    for test in fault.tests:
        file, _, rest = test.partition("::")
        text = (ROOT / file).read_text(encoding="utf-8")
        assert f"def {rest.split('[')[0]}" in text


def test_a_fault_is_caught_and_taken_out(tmp_path: Path) -> None:
    """One that takes a second to catch."""
    (fault,) = (f for f in FAULTS if f.name == "planner-larger-of-two-equals")
    mutate.copy_of_the_tree(tmp_path)
    sound = (tmp_path / fault.file).read_bytes()
    assert mutate.run_tests(tmp_path, fault.tests) == 0
    assert mutate.is_caught(tmp_path, fault)
    assert (tmp_path / fault.file).read_bytes() == sound
