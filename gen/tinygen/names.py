# SPDX-License-Identifier: Apache-2.0
"""Names that reach C and CMake: identifiers, the prefix of a model, the folder of a project."""

from __future__ import annotations

import os
import re
import shlex
from functools import cache
from pathlib import Path

from tinygen.errors import TinygenError
from tinygen.resources import resource

_KEYWORDS = """
auto break case char const continue default do double else enum extern float for goto if inline int
long register restrict return short signed sizeof static struct switch typedef union unsigned void
volatile while asm typeof alignas alignof bool constexpr nullptr static_assert thread_local true
false and bitand bitor catch class compl delete explicit export friend mutable namespace new not
operator or private protected public template this throw try typename using virtual xor
"""
"""Of C and C++, in whose sources the header may be included."""
_PROJECT = """
main memory_clocks platform print profile self_test startup syscalls tg tinygen app zephyr
all clean depend edit_cache firmware help install package rebuild_cache run test con prn aux nul
arena arena_planned arena_default_ram fast_code log_level profile_icount self_test_limit
"""
"""Files of the templates, targets of CMake, what Windows keeps for devices, and what stands behind
CONFIG_TINYGEN_ in an application."""
_NOT_C = frozenset(_KEYWORDS.split())
_RESERVED = _NOT_C.union(_PROJECT.split())
_UNUSABLE_ZEPHYR = " '&(),:%*`"
"""Besides: what Zephyr's build was seen to fail on (4.1.99)."""
_UNUSABLE = ';"\\$#?<>[]|'


def identifier(text: str) -> str:
    """A C identifier in lower case: ``Model-v2`` -> ``model_v2``, ``int`` -> ``m_int``."""
    clean = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "model"
    return clean if clean[0].isalpha() and clean not in _NOT_C else f"m_{clean}"


def model_name(text: str) -> str:
    """An identifier that may be the prefix of symbols and the name of a source file as well."""
    clean = identifier(text)
    taken = clean in _RESERVED or clean in _kernels() or clean.startswith("tg_")
    return f"m_{clean}" if taken else clean


@cache
def _kernels() -> frozenset[str]:
    """Files that lie beside the model's: PlatformIO names objects by the last part of the path."""
    return frozenset(f.stem for f in resource("kernels").rglob("*.c"))


def in_utf8(name: str) -> str:
    """A file's name as files hold it, whatever encoding the terminal has."""
    return os.fsencode(name).decode("utf-8")


def for_shell(path: Path) -> str:
    """A path as a shell and an option parser take it."""
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


def check_folder(folder: Path, template: str = "") -> None:
    """`TinygenError` if CMake could not build there, or Zephyr where the template is one of its."""
    try:
        path = str(folder.resolve())
    except (OSError, RuntimeError):  # a symbolic link to itself
        raise TinygenError(f"{folder} leads nowhere: choose another folder") from None
    try:
        path = in_utf8(path)
    except UnicodeDecodeError:
        raise TinygenError(
            f"{path!r} is no UTF-8, which CMake and Ninja read paths as: choose another folder"
        ) from None
    zephyr = template.startswith("zephyr")
    unusable = _UNUSABLE + _UNUSABLE_ZEPHYR if zephyr else _UNUSABLE
    found = next((c for c in path if c in unusable or ord(c) < 32), None)
    if found:
        tool = "Zephyr" if zephyr else "CMake"
        raise TinygenError(
            f"{path!r}: {tool} cannot build in a folder whose path has the character {found!r}: "
            "choose another folder"
        )
