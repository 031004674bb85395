# SPDX-License-Identifier: Apache-2.0
"""The text of a board description -> its fields, each once."""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

LARGEST = 1 << 20
"""Bytes of a file; the shipped ones have three thousand."""

_ODD = re.compile(r"[-+]?(0[0-7_]*[0-7][0-7_]*|.*:.*)")


def fields(data: bytes) -> Any:
    """YAML without aliases and repeated keys. Raises ValueError with what is wrong, and where."""
    if len(data) > LARGEST:
        raise ValueError(f"it has {len(data):,} bytes, which no board description has")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = data[: e.start].count(b"\n") + 1
        raise ValueError(f"line {line} is not UTF-8: save the file in that encoding") from None
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise ValueError("it uses aliases of YAML (*name): write the values out")
        root = yaml.compose(text, yaml.SafeLoader)
        if root is None:
            raise ValueError("it is empty")
        _unique(root, "")
        return _Made(text).construct_document(root)
    except yaml.YAMLError as e:
        raise ValueError(_said(e, text)) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


class _Made(yaml.SafeLoader):
    """Constructs what was composed."""


def _unique(node: Node, where: str) -> None:
    if isinstance(node, SequenceNode):
        for i, item in enumerate(node.value):
            _unique(item, f"{where}.{i}".lstrip("."))
    if isinstance(node, ScalarNode) and node.tag.endswith(":int") and _ODD.fullmatch(node.value):
        raise ValueError(
            f"{where}: YAML reads {node.value} as octal or in sixties: write it in decimal or "
            "from 0x on"
        )
    if not isinstance(node, MappingNode):
        return
    lines: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, ScalarNode):
            raise ValueError(f"line {line}: the name of a field is no text")
        field = f"{where}.{key.value}".lstrip(".")
        if key.tag.endswith(":merge"):
            raise ValueError(f"line {line}: << merges fields: write them out")
        if key.value in lines:
            raise ValueError(
                f"{field} stands in line {lines[key.value]} and in line {line}: keep one"
            )
        lines[key.value] = line
        _unique(value, field)


def _said(error: yaml.YAMLError, text: str) -> str:
    """One line."""
    mark = getattr(error, "problem_mark", None)
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error)
    if mark is None:
        return f"it is no YAML ({' '.join(problem.split())})"
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())] or "\\t" in problem:
        return f"line {mark.line + 1} is indented by a tab: YAML takes spaces"
    return f"line {mark.line + 1} is no YAML ({' '.join(problem.split())})"
