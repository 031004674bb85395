# SPDX-License-Identifier: Apache-2.0
"""The `Float` kinds that operators are made from, by name: `Operator.float_form` of them all."""

from __future__ import annotations

from tinygen.graph import Float, Node
from tinygen.operators import OPERATORS
from tinygen.operators.float_form import FloatForm

FORMS: dict[str, FloatForm] = {o.float_form.kind: o.float_form for o in OPERATORS if o.float_form}
ROUNDED = frozenset(kind for kind, form in FORMS.items() if form.rounds)
"""They read and make rounded values."""


def form_of(node: Node) -> FloatForm | None:
    return FORMS.get(node.op.kind) if isinstance(node.op, Float) else None
