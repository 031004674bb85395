# SPDX-License-Identifier: Apache-2.0
"""hooks.c, compiled for this computer when it is first needed, and its structure."""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tinygen.errors import TinygenError
from tinygen.runner.toolchain import find_host_compiler

_SOURCE = Path(__file__).with_name("hooks.c").read_bytes()
"""Read with this module, whose structure it must match."""
_RANGES = 32
NEVER = (1 << 64) - 1
NO_PRIORITY = 1000
"""Of no exception: lower than every other."""


class _Range(ctypes.Structure):
    _fields_ = [("first", ctypes.c_uint32), ("last", ctypes.c_uint32)]


class State(ctypes.Structure):
    """`struct chip` of hooks.c."""

    _fields_ = [
        ("reg_read", ctypes.c_void_p),
        ("reg_write", ctypes.c_void_p),
        ("mem_read", ctypes.c_void_p),
        ("emu_stop", ctypes.c_void_p),
        ("registers", ctypes.c_int32 * 16),
        ("epsr", ctypes.c_int32),
        ("primask", ctypes.c_int32),
        ("basepri", ctypes.c_int32),
        ("faultmask", ctypes.c_int32),
        ("instructions", ctypes.c_uint64),
        ("stop_at", ctypes.c_uint64),
        ("want_stop", ctypes.c_uint32),
        ("pending", ctypes.c_int32),
        ("active", ctypes.c_int32),
        ("aligned", ctypes.c_uint32),
        ("fpu_off", ctypes.c_uint32),
        ("ranges", ctypes.c_uint32),
        ("no_execute", _Range * _RANGES),
        ("fault", ctypes.c_uint32),
        ("fault_pc", ctypes.c_uint32),
        ("fault_address", ctypes.c_uint32),
        ("fault_bytes", ctypes.c_uint32),
        ("fault_store", ctypes.c_uint32),
        ("fault_sp", ctypes.c_uint32),
        ("fault_lr", ctypes.c_uint32),
        ("table", ctypes.c_void_p),
        ("capacity", ctypes.c_uint32),
        ("used", ctypes.c_uint32),
    ]

    def forbid_execution(self, ranges: list[tuple[int, int]]) -> None:
        """Ranges as (first, last) address."""
        self.ranges = min(len(ranges), _RANGES)
        for i, (first, last) in enumerate(ranges[:_RANGES]):
            self.no_execute[i].first, self.no_execute[i].last = first, last


class Hooks:
    """The hooks of one Unicorn: `state` is shared with them."""

    def __init__(self, uc: Any) -> None:
        from unicorn import arm_const
        from unicorn.unicorn_py3.unicorn import uclib

        self._uc, self._unicorn = uc, uclib
        self._library = ctypes.CDLL(str(_compiled()))
        state = self.state = State()
        for name in ("reg_read", "reg_write", "mem_read", "emu_stop"):
            function = ctypes.cast(getattr(uclib, f"uc_{name}"), ctypes.c_void_p)
            setattr(state, name, function.value)
        for i in range(13):
            state.registers[i] = getattr(arm_const, f"UC_ARM_REG_R{i}")
        state.registers[13] = arm_const.UC_ARM_REG_SP
        state.registers[14] = arm_const.UC_ARM_REG_LR
        state.registers[15] = arm_const.UC_ARM_REG_PC
        for name in ("epsr", "primask", "basepri", "faultmask"):
            setattr(state, name, getattr(arm_const, f"UC_ARM_REG_{name.upper()}"))
        state.stop_at, state.pending, state.active = NEVER, NO_PRIORITY, NO_PRIORITY

    def add(self, kind: int, function: str, first: int = 1, last: int = 0) -> int:
        """One of hooks.c's functions as a hook of Unicorn; its handle."""
        handle = ctypes.c_size_t()
        status = self._unicorn.uc_hook_add(
            self._uc._uch,
            ctypes.byref(handle),
            ctypes.c_int(kind),
            ctypes.cast(getattr(self._library, function), ctypes.c_void_p),
            ctypes.byref(self.state),
            ctypes.c_uint64(first),
            ctypes.c_uint64(last),
        )
        if status:
            raise TinygenError(f"Unicorn refused a hook (error {status}): is it version 2.1?")
        return int(handle.value)

    def remove(self, handle: int) -> None:
        self._unicorn.uc_hook_del(self._uc._uch, ctypes.c_size_t(handle))

    def forget_blocks(self) -> None:
        """Read every block anew: other rules hold, or the code has changed."""
        self._library.forget_blocks(ctypes.byref(self.state))


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "tinygen"


def _compiled() -> Path:
    """hooks.c as a shared library, kept under the hash of its source and its compiler."""
    compiler = find_host_compiler()
    if compiler is None:
        raise TinygenError(
            "no compiler for this computer found, which counting instructions needs: "
            "apt-get install gcc, or pip install 'tinygen[run]'"
        )
    key = hashlib.sha256(_SOURCE + "\0".join(compiler).encode()).hexdigest()[:16]
    path = cache_folder() / f"hooks-{key}.so"
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Beside it and renamed: another process may compile at the same time.
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            library = Path(scratch) / "hooks.so"
            command = [*compiler, "-std=c11", "-O2", "-shared", "-fPIC", "-o", str(library)]
            done = subprocess.run([*command, "-x", "c", "-"], input=_SOURCE, capture_output=True)
            if done.returncode:
                lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no output"]
                raise TinygenError(f"{compiler[0]} does not compile hooks.c: {lines[0]}")
            library.replace(path)
    except OSError as e:
        raise TinygenError(
            f"{path.parent}: cannot keep the compiled hooks.c there ({e.strerror}): set "
            "XDG_CACHE_HOME to a folder that can be written"
        ) from None
    return path
