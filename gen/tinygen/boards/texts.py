# SPDX-License-Identifier: Apache-2.0
"""Texts of a board description that reach C, CMake, Kconfig, linker scripts and file names."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, Strict

LONGEST = 100
"""Characters of a name or title."""
FORBIDDEN = ('"', "\\", "`", "$", "*/", "/*", "//", "??", "{", "}")
"""In a title."""


def _matching(pattern: str, what: str) -> AfterValidator:
    """str that matches as a whole; `what` says what it is, and of which characters."""
    compiled = re.compile(pattern, re.ASCII)

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(f"{text!r} is no {what}")
        if len(text) > LONGEST:
            raise ValueError(f"it has {len(text)} characters: {LONGEST} at most")
        return text

    return AfterValidator(check)


def _checked(check: Callable[[str], str | None]) -> AfterValidator:
    """str of which `check` finds nothing to say."""

    def raising(text: str) -> str:
        if said := check(text):
            raise ValueError(said)
        return text

    return AfterValidator(raising)


def _title(text: str) -> str | None:
    if not text.strip() or len(text) > LONGEST:
        return f"a line of 1 to {LONGEST} characters is needed"
    if not text.isprintable():
        return "it holds a line break or another sign that cannot be printed"
    for sign in FORBIDDEN:
        if sign in text:
            return f"{sign} cannot stand in C and Kconfig, where the title goes: remove it"
    return None


def _conf(text: str) -> str | None:
    if text.isprintable() and re.fullmatch(r"CONFIG_[A-Z0-9_]+=(\S+|\"[^\"]*\")", text):
        return None
    return f"{text!r} is no line CONFIG_NAME=value"


def _overlay(text: str) -> str | None:
    if any(not c.isprintable() and c not in "\t\n" for c in text):
        return "it holds a sign that cannot be printed"
    for opening, closing in ("{}", "<>", "()"):
        if text.count(opening) != text.count(closing):
            return f"it has {text.count(opening)} {opening} and {text.count(closing)} {closing}"
    return "a quote in it is not closed" if text.count('"') % 2 else None


Name = Annotated[
    str, _matching(r"[A-Za-z0-9][A-Za-z0-9_.+-]*", "name of letters, digits, _ . + and -")
]
Alias = Annotated[
    str, _matching(r"[A-Za-z0-9][A-Za-z0-9_.+/@-]*", "name of letters, digits, _ . + / @ and -")
]
Label = Annotated[
    str, _matching(r"[A-Za-z][A-Za-z0-9_-]*", "name of letters, digits, _ and -, a letter first")
]
Section = Annotated[
    str, _matching(r"[A-Za-z_.][A-Za-z0-9_.]*", "name of a section: letters, digits, _ and .")
]
Clock = Annotated[
    str, _matching(r"LL_[A-Z0-9]+_GRP1_PERIPH_[A-Z0-9_]+", "mask LL_<bus>_GRP1_PERIPH_<memory>")
]
Flag = Annotated[str, _matching(r"-[A-Za-z][A-Za-z0-9_=+.,-]*", "flag of a compiler")]
Cpu = Annotated[str, _matching(r"[a-z0-9][a-z0-9.+_-]*", "name of a core, as -mcpu takes it")]
ZephyrBoard = Annotated[
    str,
    _matching(
        r"[A-Za-z0-9_]+(@[A-Za-z0-9_.]+)?(/[A-Za-z0-9_]*)*", "board as `west build -b` takes it"
    ),
]
Title = Annotated[str, _checked(_title)]
ConfLine = Annotated[str, _checked(_conf)]
Overlay = Annotated[str, _checked(_overlay)]
Integer = Annotated[int, Strict()]
"""Neither true nor a text."""
