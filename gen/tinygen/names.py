# SPDX-License-Identifier: Apache-2.0
"""Names that reach C and CMake: identifiers, the prefix of a model, the folder of a project."""

from __future__ import annotations

import re
from pathlib import Path

from tinygen.errors import TinygenError

_KEYWORDS = """
auto break case char const continue default do double else enum extern float for goto if inline int
long register restrict return short signed sizeof static struct switch typedef union unsigned void
volatile while asm typeof alignas alignof bool constexpr nullptr static_assert thread_local true
false and bitand bitor catch class compl delete explicit export friend mutable namespace new not
operator or private protected public template this throw try typename using virtual xor
"""
"""Of C and C++, in whose sources the header may be included."""
_HEADERS = """
assert complex ctype errno fenv inttypes iso646 limits locale math setjmp signal stdalign stdarg
stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath threads time uchar wchar
wctype aio alloca ar argz byteswap cpio dirent dlfcn elf endian envz err error execinfo fcntl
features fnmatch ftw getopt glob grp iconv ieeefp ifaddrs langinfo libgen libio link malloc memory
ndbm netdb newlib nl_types obstack poll pthread pwd reent regdef regex resolv rpc sched search
semaphore sgtty spawn stab stdio_ext strings stropts syscall sysexits syslog tar termios ucontext
ulimit unctrl unistd utime utmp values wait wordexp xlocale
"""
"""Of a libc: the model's folder is on the include path."""
_PROJECT = """
main memory_clocks platform print profile self_test startup syscalls tg tinygen app zephyr
all clean depend edit_cache firmware help install package rebuild_cache run test con prn aux nul
"""
"""Files of the templates, targets of CMake, and what Windows keeps for devices."""
_NOT_C = frozenset(_KEYWORDS.split())
_RESERVED = _NOT_C.union(_HEADERS.split(), _PROJECT.split())
_UNUSABLE = ';"\\$#?<>[]|'


def identifier(text: str) -> str:
    """A C identifier in lower case: ``Model-v2`` -> ``model_v2``, ``int`` -> ``m_int``."""
    clean = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "model"
    return clean if clean[0].isalpha() and clean not in _NOT_C else f"m_{clean}"


def model_name(text: str) -> str:
    """An identifier that may be the prefix of symbols and the name of a header as well."""
    clean = identifier(text)
    return f"m_{clean}" if clean in _RESERVED or clean.startswith("tg_") else clean


def check_folder(folder: Path) -> None:
    """`TinygenError` if CMake could not build there."""
    path = str(folder.resolve())
    found = next((c for c in path if c in _UNUSABLE or ord(c) < 32), None)
    if found:
        raise TinygenError(
            f"{path!r}: CMake cannot build in a folder whose path has the character {found!r}: "
            "choose another folder"
        )
