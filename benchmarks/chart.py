# SPDX-License-Identifier: Apache-2.0
"""The README's bar chart: instructions of one attention layer, tinygen beside other kernels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

WIDTH, LEFT, RIGHT, BAR, GAP = 760, 118, 150, 15, 16
LOWEST, HIGHEST = 1e5, 5e7
COLOURS = {"tinygen": "#1769aa", "the paper's kernels": "#8a9ba8", "CMSIS-NN": "#c9d1d8"}


def chart(rows: Mapping[str, Mapping[str, int]], title: str) -> str:
    """rows: shape -> who -> instructions.  -> SVG text, logarithmic scale."""

    def x(count: float) -> float:
        span = math.log10(HIGHEST / LOWEST)
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log10(count / LOWEST) / span

    top, body = 48, list[str]()
    for shape, counts in rows.items():
        middle = top + BAR * len(counts) / 2 + 4
        body.append(f'<text x="{LEFT - 10}" y="{middle:.0f}" text-anchor="end">{shape}</text>')
        ours = counts["tinygen"]
        for who, count in counts.items():
            wide = x(count) - LEFT
            body.append(
                f'<rect x="{LEFT}" y="{top}" width="{wide:.1f}" height="{BAR - 2}" '
                f'fill="{COLOURS[who]}"/>'
            )
            times = "" if who == "tinygen" else f" ({count / ours:.1f} x)"
            body.append(
                f'<text x="{LEFT + wide + 6:.1f}" y="{top + BAR - 4}">{_millions(count)}{times}'
                "</text>"
            )
            top += BAR
        top += GAP
    grid = [
        f'<line x1="{x(10**n):.1f}" x2="{x(10**n):.1f}" y1="40" y2="{top - GAP + 4}" '
        f'stroke="#e3e7ea"/><text x="{x(10**n):.1f}" y="{top + 6}" text-anchor="middle" '
        f'fill="#66757f">{_millions(10**n)}</text>'
        for n in (5, 6, 7)
    ]
    legend, at = list[str](), LEFT
    for who, colour in COLOURS.items():
        legend.append(
            f'<rect x="{at}" y="25" width="10" height="10" fill="{colour}"/>'
            f'<text x="{at + 15}" y="34">{who}</text>'
        )
        at += 40 + 7 * len(who)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top + 14}" '
            'font-family="sans-serif" font-size="12" fill="#22303a">',
            f'<rect width="{WIDTH}" height="{top + 14}" fill="#ffffff"/>',
            f'<text x="{LEFT}" y="15" font-weight="bold">{title}</text>',
            *legend,
            *grid,
            *body,
            "</svg>\n",
        ]
    )


def _millions(count: float) -> str:
    return f"{count / 1e6:.2f} M" if count < 1e7 else f"{count / 1e6:.1f} M"


def summary(rows: Sequence[tuple[str, Mapping[str, int]]]) -> str:
    """The README's table: shape and cortex-m7, cortex-m4, macs, cmsis_best, paper (M7's)."""
    text = [
        "| tokens, features, a head, heads | Cortex-M7 | a MAC | Cortex-M4 | against CMSIS-NN | "
        "against the paper's kernels |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for shape, n in rows:
        m7 = n["cortex-m7"]
        text.append(
            f"| {shape} | {m7:,} | {m7 / n['macs']:.2f} | {n['cortex-m4']:,} | "
            f"{n['cmsis_best'] / m7:.1f} x | {n['paper'] / m7:.1f} x |"
        )
    return "\n".join(text) + "\n"
