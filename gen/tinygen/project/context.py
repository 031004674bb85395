# SPDX-License-Identifier: Apache-2.0
"""What a template is told: the variables of its cookiecutter.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tinygen import __version__
from tinygen.boards import Board, Region
from tinygen.emitter import cfile
from tinygen.errors import TinygenError
from tinygen.names import for_shell, in_utf8
from tinygen.planner import Plan

Variables = dict[str, Any]

RENDERED = "project"
"""Folder that a template is rendered to, whatever the project's own is called: cookiecutter takes
the paths of what it writes for templates once more."""
STACK = 16384
"""Bytes of stack without an operating system, where there is room."""
DATA = 2048
"""Bytes of data beside the arena, in the default RAM: outputs, counts, the console."""
STACK_BESIDE = 1536
"""Bytes that main, printk, an exception's frame and the user's own calls may take."""


def variables(plan: Plan, template: str, folder: str) -> Variables:
    """The variables of one template; the common ones are in every cookiecutter.json."""
    board = plan.board
    common: Variables = {
        "folder": RENDERED,
        "model": plan.model,
        "MODEL": plan.model.upper(),
        "board": board.name,
        "board_title": board.title,
        "qemu_machine": board.emulation.qemu_machine or "",
        "host": board.emulation.host,
        "version": __version__,
        "ends": {"several": not plan.single, **_ends(plan)},
    }
    if template == "pulp-sdk":
        return common | {"cores": board.core.count, "gvsoc": board.emulation.gvsoc or ""}
    if template.startswith("zephyr"):
        return common | _zephyr(plan) | _spellings(folder)
    return common | _baremetal(plan)


def _ends(plan: Plan) -> dict[str, list[str]]:
    """Names in C, for texts that take them."""
    return {
        "inputs": [end.word for end in plan.inputs],
        "outputs": [end.word for end in plan.outputs],
    }


def _spellings(folder: str) -> Variables:
    """The name of the project's folder for texts that take it."""
    folder = in_utf8(folder)
    return {
        "folder_cmake": f'"${{CMAKE_CURRENT_SOURCE_DIR}}/{folder}"',
        "folder_shell": for_shell(Path(folder)),
        "folder_yaml": json.dumps(folder, ensure_ascii=False),
    }


def _baremetal(plan: Plan) -> Variables:
    board = plan.board
    keys = ("name", "kind", "base", "size", "section")
    return {
        "cpu": board.core.cpu,
        "cflags": " ".join(board.core.cflags),
        "linker": {"regions": [{k: getattr(r, k) for k in keys} for r in board.memory]},
        "stack_bytes": str(_stack(plan)),
    }


def _stack(plan: Plan) -> int:
    """Bytes of stack without an operating system: plenty where there is room.

    Raises `TinygenError` where the arena leaves none.
    """
    if plan.board.emulation.host:
        return STACK
    ram = next((r for r in plan.board.ram if not r.section), plan.board.ram[0])
    left = ram.size - DATA - sum(u.used for u in plan.regions if u.name == ram.name)
    need = main_stack(plan)
    if left < need:
        raise TinygenError(
            f"{plan.board.name}: region {ram.name} has {max(left, 0):,} bytes left for a stack of "
            f"{need:,} bytes: write `reserved: {need + DATA}` there in the board's file, which "
            "the arena then leaves free, or take a board with more RAM"
        )
    return min(STACK, left // 8 * 8)


def _zephyr(plan: Plan) -> Variables:
    board = plan.board
    if board.zephyr is None:
        raise TinygenError(
            f"{board.name} has no Zephyr board: add the field `zephyr` to its YAML file, or import "
            "it with `tinygen boards import`"
        )
    used = {u.name for u in plan.regions}
    mine = [r for r in board.ram if r.name in used]
    code = plan.code_region
    return {
        "zephyr_board": board.zephyr.board,
        "zephyr_file": board.zephyr.file,
        "zephyr_conf": "\n".join(board.zephyr.conf),
        "zephyr_overlay": board.zephyr.overlay.strip(),
        "platformio_board": board.platformio_board or "",
        "clocks": {"masks": [r.clock for r in mine if r.clock]},
        "sections": {"names": [cfile.identifier(r.name).upper() for r in mine if r.section]},
        "main_stack": main_stack(plan),
        "stack": plan.footprint.stack if plan.footprint else 0,
        "compiler": plan.footprint.compiler if plan.footprint else "",
        "fast_code": (code.section or "") if code else "",
        "memory_map": memory_map(plan),
        "twister_boards": {"names": _twister_boards(board)},
    }


def _twister_boards(board: Board) -> list[str]:
    """The board itself; native_sim in both widths, as twister tells them apart."""
    assert board.zephyr is not None
    name = board.zephyr.board
    return [name, "native_sim"] if name.startswith("native_sim/") else [name]


def main_stack(plan: Plan) -> int:
    """Bytes for Zephyr's main thread: the network, and what prints results beside it."""
    if plan.footprint is None:
        return 4096
    return -(-(plan.footprint.stack + STACK_BESIDE) // 512) * 512


def memory_map(plan: Plan) -> str:
    """Markdown table of the board's memories and what this model puts there."""
    arena = {u.name: u.used for u in plan.regions}
    rows = ["| memory | address | size | section | the model's share |", "|---|---|---|---|---|"]
    for r in plan.board.memory:
        rows.append(
            f"| {r.name} | 0x{r.base:08x} | {r.size // 1024} KB | {r.section or 'default'} | "
            f"{_share(plan, r, arena.get(r.name, 0))} |"
        )
    return "\n".join(rows)


def _share(plan: Plan, region: Region, arena: int) -> str:
    code = plan.footprint
    if region.kind == "code":
        if region != plan.code_region:
            return "-"
        return f"hot kernels, {code.resident:,} bytes" if code else "hot kernels"
    if region.kind == "ram":
        return f"arena, {arena:,} bytes" if arena else "-"
    constants = f"weights and tables, {plan.const_bytes:,} bytes"
    return f"{constants}; code, {code.kernels + code.network:,} bytes" if code else constants
