# SPDX-License-Identifier: Apache-2.0
"""Limits on memory and time: which one a plan breaks, where, by how much, and what would hold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from tinygen.boards import Board
from tinygen.lowering import TICKS, Buffer, Step
from tinygen.planner import l3
from tinygen.planner import plan as p
from tinygen.planner.constants import const_bytes


@dataclass(frozen=True, eq=False)
class TooLarge:
    """The smallest plan there is, which does not fit. need: bytes of RAM."""

    model: str
    board: Board
    steps: tuple[Step, ...]
    buffers: tuple[Buffer, ...]
    need: int

    @property
    def worst(self) -> Step:
        """The step at the peak."""
        tick = p.peak(list(self.buffers))[1]
        return self.steps[min(tick // TICKS, len(self.steps) - 1)]


@dataclass(frozen=True)
class Excess:
    """sentence: what is broken, without an end.  remedy: the nearest limit that holds, or empty.

    of_board: another board may hold it.
    """

    budget: Literal["ram", "flash", "latency"]
    sentence: str
    remedy: str
    of_board: bool = True


def excess(
    found: p.Plan | TooLarge,
    max_ram: int | None,
    max_flash: int | None,
    max_latency: float | None,
) -> Excess | None:
    """The first budget that does not hold: RAM and flash in bytes, latency in milliseconds."""
    if isinstance(found, TooLarge):
        return _ram(found, max_ram)
    return _flash(found, max_flash) or _latency(found, max_latency)


def _where(step: Step) -> str:
    return f"node {step.name}" + (f" ({step.schedule})" if step.schedule else "")


def _ram(found: TooLarge, limit: int | None) -> Excess:
    have = sum(r.usable for r in found.board.ram)
    asked = limit is not None and limit < have
    grant = limit if limit is not None and asked else have
    who = "--max-ram" if asked else f"{found.board.name}"
    over = found.need - grant
    by = f"{over:,} more than {who} grants" if over > 0 else f"in one piece, which {who} has not"
    return Excess(
        "ram",
        f"{found.model}: {_where(found.worst)} needs {found.need:,} bytes of RAM even in the "
        f"smallest plan, {by}",
        f"--max-ram {found.need}" if asked and found.need <= have else "",
        not asked,
    )


def _flash(plan: p.Plan, limit: int | None) -> Excess | None:
    have = sum(r.usable for r in plan.board.flash)
    asked = limit is not None and limit < have
    grant = limit if limit is not None and asked else have
    over = plan.flash_bytes - grant
    if over <= 0:
        return None
    code = plan.flash_bytes - plan.const_bytes
    what = f"weights, tables and {code:,} bytes of code" if code else "weights and tables"
    largest = max(plan.steps, key=lambda s: const_bytes([s]))
    who = "--max-flash" if asked else plan.board.name
    return Excess(
        "flash",
        f"{plan.model}: {what} take {plan.flash_bytes:,} bytes of flash, {over:,} more "
        f"than {who} grants, {const_bytes([largest]):,} of them in node {largest.name}"
        + _beyond(plan, grant),
        f"--max-flash {plan.flash_bytes}" if asked and plan.flash_bytes <= have else "",
        not asked,
    )


def _beyond(plan: p.Plan, grant: int) -> str:
    """Why L3 does not help, where the board has it."""
    region = l3.external(plan.board)
    if region is None:
        return ""
    largest = max(l3.block_bytes(s) for s in plan.steps)
    if largest > min(grant, l3.MOST):
        return f", too many to come from {region.name} at once"
    return f", and {region.name} holds {region.usable:,} bytes"


def _latency(plan: p.Plan, limit: float | None) -> Excess | None:
    took = plan.latency_ms
    if limit is None:
        return None
    if took is None:
        return Excess(
            "latency",
            f"{plan.model}: --max-latency cannot be kept, because {plan.board.name} "
            f"({plan.board.core.cpu}) has no cost model that predicts time",
            "",
        )
    if took <= limit:
        return None
    slowest = max(plan.steps, key=lambda s: s.cycles or 0)
    share = (slowest.cycles or 0) / max(1, plan.cycles or 1)
    return Excess(
        "latency",
        f"{plan.model}: predicted {_ms(took)} on {plan.board.name}, {_ms(took - limit)} more "
        f"than --max-latency grants, {100 * share:.0f} % of it in {_where(slowest)}",
        f"--max-latency {math.ceil(took * 100) / 100:g}",
    )


def _ms(value: float) -> str:
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.3g} ms"
