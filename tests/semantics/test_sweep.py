# SPDX-License-Identifier: Apache-2.0
"""Each use of each operator is computed as ONNX defines it, or refused by a sentence that says why.

The tables in `semantics.cases` hold the uses; `semantics.report` tries them.
"""

from __future__ import annotations

import onnx
import pytest

from semantics.case import Case, Live, Stored, changes
from semantics.cases import by_operator
from semantics.harness import NODE
from semantics.known import known
from semantics.report import PAGE, RENEW, Tried, section, sections, title, tried

CASES = by_operator()
VAGUE = ("malformed", "does not fit", "does not settle", "cannot be evaluated", "cannot be fixed")


@pytest.mark.parametrize("key", CASES, ids=lambda key: title(*key))
def test_computed_or_refused(key: tuple[str, str]) -> None:
    domain, op = key
    found = tried(CASES[key])
    taken = any(_live(t.case) and not t.outcome.refused for t in found)
    wrong = [f"{t.case} at opset {t.version}: {w}" for t in found if (w := _wrong(t, taken))]
    assert not wrong, "\n".join(wrong)
    never = {str(c) for c in CASES[key]} - {str(t.case) for t in found}
    assert not never, f"no opset has {never}"
    if not domain:
        missing = set(changes(op)) - {t.version for t in found}
        assert not missing, f"no use of {op} at opsets {sorted(missing)}"
    if not domain and taken:
        assert not (left := _untried(op, CASES[key])), f"no use of {op} has {left}"
    written = sections(PAGE.read_text(encoding="utf-8")).get(title(*key))
    assert written == section(domain, op, found), f"docs/operators.md is out of date: run {RENEW}"


def _untried(op: str, cases: list[Case]) -> list[str]:
    """Attributes that no case sets, optional inputs that none leaves out or none gives."""
    schemas = [onnx.defs.get_schema(op, v) for v in changes(op)]
    named = {a for s in schemas for a in s.attributes} - {n for c in cases for n in c.attrs}
    left = [*sorted(named)]
    for place, formal in enumerate(schemas[-1].inputs):
        given = [len(c.inputs) > place and c.inputs[place] is not None for c in cases]
        optional = formal.option == onnx.defs.OpSchema.FormalParameterOption.Optional
        if optional and len(set(given)) == 1:
            left.append(f"{formal.name} {'given' if not given[0] else 'left out'}")
    return left


def _live(case: Case) -> bool:
    return any(isinstance(i, Live | Stored) for i in case.inputs)


def _wrong(t: Tried, taken: bool) -> str:
    """What is wrong with an outcome. taken: whether other uses of activations are computed."""
    o, case = t.outcome, t.case
    if o.refused:
        return _untrue(case, o.refused, taken)
    if o.error is None or o.error > 1:
        return f"{o.error} times what is allowed off in float"
    if o.refused_whole:
        vague = [w for w in VAGUE if w in o.refused_whole]
        if vague or (f"unsupported operator {case.op}" in o.refused_whole):
            return f"refused in integers: {o.refused_whole}"
        return ""
    if o.whole_error is not None and o.whole_error > 1:
        return f"{o.whole_error} times what is allowed off in integers"
    return ""


def _untrue(case: Case, sentence: str, taken: bool) -> str:
    if any(word in sentence for word in VAGUE):
        return f"refused vaguely: {sentence}"
    if taken and "unsupported operator" in sentence:
        return f"other uses are taken, this one is refused as unsupported: {sentence}"
    words = case.says or tuple(case.attrs)
    if words and taken and not any(w in sentence for w in words):
        return f"the refusal names none of {words}: {sentence}"
    if NODE not in sentence and "dynamically" not in sentence:
        return f"the refusal does not name the node: {sentence}"
    return ""


def test_every_known_operator_has_cases() -> None:
    assert not known() - set(CASES), "add cases to tests/semantics/cases"


def test_the_page_has_every_operator_and_no_other() -> None:
    written = sections(PAGE.read_text(encoding="utf-8"))
    assert set(written) == {title(*key) for key in CASES}
