# SPDX-License-Identifier: Apache-2.0
"""Which operators the importer knows: those that its source names."""

from __future__ import annotations

import ast
from pathlib import Path

import onnx

import tinygen
from semantics.case import MICROSOFT, QUANTLIB
from tinygen.importer import quantlib
from tinygen.importer.contrib import EXPANSIONS
from tinygen.importer.spell import SPELLINGS
from tinygen.importer.upgrade import UPGRADES

OF_INTEGERS = {(MICROSOFT, "EmbedLayerNormalization")}
"""Of token ids in int32, which the sweep's models do not have: tests/importer/test_contrib.py."""
NO_OPERATORS = {"Mean": "also the graph's own, and spelled out where it is ONNX's"}
ROOM = Path(tinygen.__file__).parent


def named() -> set[str]:
    """Names of standard operators that stand as text in importer and passes."""
    standard = {s.name for s in onnx.defs.get_all_schemas_with_history() if s.domain == ""}
    files = [*(ROOM / "passes").glob("*.py"), *(ROOM / "importer").glob("*.py")]
    return {
        node.value
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and node.value in standard
    }


def known() -> set[tuple[str, str]]:
    """(domain, operator)"""
    upgraded = {("", kind) for kind in UPGRADES}
    integer = {(QUANTLIB, kind) for kind in quantlib.KINDS}
    fused = {(MICROSOFT, kind) for kind in EXPANSIONS} - OF_INTEGERS
    return {("", name) for name in named()} | upgraded | integer | fused | set(SPELLINGS)
