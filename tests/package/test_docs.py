# SPDX-License-Identifier: Apache-2.0
"""What docs/architecture.md and the READMEs name exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", "docs/architecture.md", "kernels/README.md")
PAGES += ("boards/README.md", "benchmarks/README.md", "docs/forms.md", "docs/chips.md")
TABLE_ROW = re.compile(r"^\| \w+ \| (`[^|]+`) \| (`[^|]+`) \|", re.M)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    missing = [x for x in links if "://" not in x and not (path.parent / x).exists()]
    assert not missing


def test_files_and_functions_of_the_layer_that_is_followed() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rows = TABLE_ROW.findall(text[text.index("## One layer") :])
    assert len(rows) == 14
    for files, functions in rows:
        for file, name in zip(files.split(", "), functions.split(", "), strict=True):
            file, name = file.strip("`"), name.strip("`")
            source = ROOT / ("" if file.startswith("kernels/") else "gen/tinygen") / file
            assert re.search(rf"\b(?:def|class|void) {name}\b", source.read_text()), (file, name)


def test_files_that_ask_an_operator() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    asked = text[text.index("## Who asks") : text.index("## A machine")]
    for file in re.findall(r"`(\w+/\w+\.py)`", asked):
        assert (ROOT / "gen/tinygen" / file).is_file(), file
