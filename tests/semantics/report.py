# SPDX-License-Identifier: Apache-2.0
"""What the sweep found of an operator, and the page about it: ``python -m semantics.report``."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from semantics.case import Case
from semantics.cases import by_operator
from semantics.harness import Invalid, Outcome, outcome

PAGE = Path(__file__).parents[2] / "docs" / "operators.md"
RENEW = "PYTHONPATH=tests python -m semantics.report"
HEAD = f"""# Operators

What tinygen makes of each ONNX operator that it knows. [tests/semantics](../tests/semantics) runs \
every use below against onnxruntime (against ONNX's own evaluator where onnxruntime has none), at \
each opset from 7 to 25 at which the operator's definition changed; every use that is not listed \
as refused was exact. "By itself" is an operator between two roundings, without the rest of an \
encoder; what is refused there may be taken where a pattern needs it, as a softmax is within an \
attention. The page is made by `{RENEW}`; a test fails where it is out of date.
"""


@dataclass(frozen=True)
class Tried:
    case: Case
    version: int
    outcome: Outcome


def tried(cases: list[Case]) -> list[Tried]:
    """Every case at every opset that has it."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for case in cases:
            for version in case.versions():
                try:
                    found.append(Tried(case, version, outcome(case, version, Path(folder))))
                except Invalid:
                    continue
                except Exception as error:
                    error.add_note(f"{case} at opset {version}")
                    raise
    return found


def title(domain: str, op: str) -> str:
    return f"{domain}.{op}" if domain else op


def section(domain: str, op: str, found: list[Tried]) -> str:
    """The part of the page about an operator."""
    opsets = sorted({t.version for t in found})
    computed = [t for t in found if not t.outcome.refused]
    whole = [t for t in computed if t.outcome.whole_error is not None]
    lines = [f"## {title(domain, op)}", ""]
    where = "" if domain else f" at opsets {', '.join(map(str, opsets))}"
    lines.append(
        f"{len(computed)} of {len(found)} uses{where} computed, {len(whole)} of them in integers "
        "by themselves too."
    )
    lines += _table("refused", [(t, t.outcome.refused) for t in found if t.outcome.refused])
    alone = [(t, t.outcome.refused_whole) for t in computed if t.outcome.refused_whole]
    lines += _table("not by itself", alone)
    return "\n".join(lines) + "\n"


def _table(what: str, rows: list[tuple[Tried, str]]) -> list[str]:
    """One row a sentence, with the uses that get it."""
    uses: dict[str, list[str]] = {}
    for one, sentence in rows:
        said = uses.setdefault(_plain(sentence), [])
        if str(one.case) not in said:
            said.append(str(one.case))
    if not uses:
        return []
    out = ["", f"| {what} | because |", "|---|---|"]
    for sentence, cases in uses.items():
        more = f" and {len(cases) - 4} more" if len(cases) > 4 else ""
        named = "; ".join(f"`{c}`" for c in cases[:4])
        out.append(f"| {named}{more} | {sentence} |")
    return out


def _plain(sentence: str) -> str:
    """Without the names and numbers of the test's own nodes."""
    return re.sub(r"\b(v|c)\d+\b", "...", re.sub(r"~\w+", "", sentence)).replace("|", "\\|")


def page() -> str:
    parts = [section(*key, tried(cases)) for key, cases in by_operator().items()]
    return "\n".join([HEAD, *parts])


def sections(text: str) -> dict[str, str]:
    """Title -> part of a page."""
    parts = text.split("\n## ")[1:]
    return {p.partition("\n")[0]: f"## {p.rstrip()}\n" for p in parts}


def main() -> None:
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
