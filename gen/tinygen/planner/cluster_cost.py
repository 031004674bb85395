# SPDX-License-Identifier: Apache-2.0
"""Cycles of a step on a cluster, predicted: what the busiest core does, times fitted coefficients.

costs/cluster/xpulpv2.json holds the coefficients, xpulpv2_plain.json those of operators in plain C
that few models have, fitted by benchmarks/fit_cluster.py to cycles from GVSoC (pulp-open, eight
cores); GAP9 takes the same ones. Everything of a layer is in them:
barriers, transfers, and the instruction cache that the layer before has left.
"""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import numpy as np

from tinygen.planner import cost
from tinygen.planner import plan as p
from tinygen.planner.schedule import FEW
from tinygen.targets.xpulpv2 import kind_of, score_kind

ATTEND_GROUPS = 3
"""Groups of query rows whose weights of eight bits exist at a time (xpulpv2/tiles.h)."""


@cache
def coefficients(target: str) -> Mapping[str, float] | None:
    path = cost.FOLDER / "cluster" / f"{target}.json"
    if not path.exists():
        return None
    found: dict[str, float] = {}
    for file in sorted(path.parent.glob(f"{target}*.json")):  # the plain ones last
        found |= json.loads(file.read_text(encoding="utf-8"))["ri5cy"]["coefficients"]
    return found


def predicted(step: p.Step, target: str, cores: int) -> p.Step:
    """The step with its cycles; a cluster's instructions are not counted."""
    fit = coefficients(target)
    if fit is None or isinstance(step.args, p.OperatorStep):  # those were not measured there
        return step
    return replace(step, cycles=cost.total(fit, features(step, cores)))


def features(step: p.Step, cores: int) -> Counter[str]:
    """What the busiest core does, counted."""
    counts: Counter[str] = Counter()

    def share(n: int) -> int:
        return math.ceil(n / cores)

    match step.args:
        case p.LinearStep(few=True) as a:
            counts = _linear_few(a, step.tiles, cores)
        case p.LinearStep() as a:
            counts = _linear(a.rows, a.linear, step.tiles, cores)
        case p.ConvStep() as a:
            counts = _conv(a, cores)
        case p.AttentionStep() as a if a.schedule == FEW:
            counts = _few(a, cores)
        case p.AttentionStep() as a:
            counts = _attention(a, cores) + _linear(a.tokens, a.o, step.tiles, cores)
        case p.DotProductStep() as a:
            counts = _dot_product(a, cores)
        case p.NormStep() as a:
            rows, width = share(a.rows), len(a.gamma)
            kind = "whole" if a.whole else "norm" if width <= 128 else "norm.long"
            counts.update({kind: rows * width, f"{kind}.row": rows, f"{kind}.call": 1})
            counts["bytes"] = 6 * width
            if a.step:
                counts.update({"norm_steps": rows * width, "norm_steps.row": rows})
        case p.AddStep() as a:
            counts.update({"add": share(a.count), "add.call": 1})
            if a.other is not None:
                counts.update({"bytes": a.other.nbytes, "load": 1})
        case p.LutStep() as a:
            counts.update({"lut": share(a.count), "lut.call": 1})
        case p.MeanStep() as a:
            columns = share(a.features)
            counts.update({"mean": a.rows * columns, "mean.column": columns, "mean.call": 1})
        case p.MaxStep() as a:
            values = share(math.prod(a.out)) * a.channels
            counts.update({"pool": values * math.prod(a.kernel), "pool.row": values * a.kernel[0]})
            counts.update({"pool.value": values, "pool.call": 1})
        case p.EmbedStep() as a:
            counts.update({"copy": share(a.rows) * a.table.shape[1], "copy.call": 1})
        case p.CopyStep() as a:
            counts.update({"copy": a.copy_bytes, "copy.call": 1, "bytes": a.rows.size})
    return counts


def _dot_product(a: p.DotProductStep, cores: int) -> Counter[str]:
    """Of the core whose rows see the most keys; all cores go through the mask of theirs."""
    heads, dim = a.op.heads, a.dim
    seen = np.full(a.rows, a.keys)
    if a.mask is not None:
        seen = seen * 0 + np.unpackbits(a.mask, axis=1).sum(axis=1, dtype=int)
    ends = [a.rows * core // cores for core in range(cores + 1)]
    mine = max((seen[i:j] for i, j in itertools.pairwise(ends)), key=lambda part: part.sum())
    keys, pairs, rows = int(mine.sum()), int((mine + 1).sum()) // 2, len(mine)
    coarse = a.op.steps is not None
    listed = a.keys * (rows if a.mask is not None and len(a.mask) > 1 else 1)
    return Counter(
        {
            "dot.score": heads * pairs * dim,
            "dot.pair": heads * pairs,
            "dot.weight": heads * keys * (1 + 2 * coarse),
            "dot.context": heads * keys * (dim // 4 + dim % 4),
            "dot.column": heads * rows * dim,
            "dot.row": heads * rows,
            "dot.list": listed,
            "dot.call": 1,
        }
    )


def _groups(rows: int) -> tuple[int, int]:
    """Groups of four rows that take a whole tile, and lone rows."""
    return math.ceil(rows / 4) - (rows % 4 == 1), int(rows % 4 == 1)


def _product(times: int, rows: int, tiles: int, words: int, kind: str) -> Counter[str]:
    """`times` products of rows against tiles of four channels, `words` of four inputs deep."""
    groups, lone = _groups(rows)
    return Counter(
        {
            "depth": times * groups * tiles * words,
            f"tile.{kind}": times * groups * tiles,
            "lone.depth": times * lone * tiles * words,
            f"lone.{kind}": times * lone * tiles,
        }
    )


def _linear(rows: int, a: p.LinearArgs, chunk: int, cores: int) -> Counter[str]:
    """Each chunk of tiles is shared out by groups and tiles."""
    tiles, words = math.ceil(a.n / 4), math.ceil(a.k / 4)
    chunk = min(chunk or tiles, tiles)
    whole, lone = _groups(rows)
    groups = whole + lone
    kind = kind_of(a.packed, a.k)
    counts: Counter[str] = Counter({"linear.call": 1})
    for first in range(0, tiles, chunk):
        here = min(chunk, tiles - first)
        units = math.ceil(groups * here / cores)
        alone = 0 if whole else units  # the busiest core has none, if there are others
        counts["depth"] += (units - alone) * words
        counts[f"tile.{kind}"] += units - alone
        counts["lone.depth"] += alone * words
        counts[f"lone.{kind}"] += alone
        counts["linear.bytes" if a.k % 4 else "linear.group"] += math.ceil(units / here) * words
        counts["linear.chunk"] += 1
        if a.n % 4:  # results wait on the stack
            counts["linear.staged"] += math.ceil(units / here)
        if a.table is not None:  # row by row
            counts["table.row"] += 4 * math.ceil(units / here)
    counts["bytes"] += chunk * (48 + 16 * words)
    if a.table is not None:
        counts["table"] += math.ceil(rows * a.n / cores)
        counts["table.call"] = 1
    elif a.n % 4:
        counts["ragged"] += math.ceil(rows * a.n / cores)
    return counts


def _linear_few(a: p.LinearStep, chunk: int, cores: int) -> Counter[str]:
    tiles, words = a.linear.n // 4, math.ceil(a.linear.k / 4)
    chunk = min(chunk, tiles)
    chunks = [min(chunk, tiles - first) for first in range(0, tiles, chunk)]
    mine = sum(math.ceil(here / cores) for here in chunks)
    kind = kind_of(a.linear.packed, a.linear.k)
    counts: Counter[str] = Counter({"few.linear.call": 1, "linear.chunk": len(chunks)})
    counts["few.depth"] = mine * words
    counts[f"few.tile.{'high' if kind == 'high' else 'low'}"] = mine
    counts["few.interleave"] = math.ceil(words / cores) * (4 if a.linear.k % 4 else 1)
    counts["bytes"] = chunk * (48 + 16 * words)
    if a.linear.table is not None:
        counts["lut"] = 4 * a.rows * mine
    return counts


def _conv(a: p.ConvStep, cores: int) -> Counter[str]:
    """Output rows to cores, or the columns of the only one; see kernels/src/xpulpv2/conv.c."""
    tokens = math.ceil(a.out[0] / cores) * a.out[1]
    if a.out[0] == 1:
        tokens = math.ceil(a.out[1] / cores)
    n, taps, groups = a.linear.n // a.groups, a.linear.k, a.groups
    words = math.ceil(taps / 4)
    kind = kind_of(a.linear.packed, taps)
    counts = _product(groups, tokens, math.ceil(n / 4), words, kind)
    counts["conv.tap"] += tokens * groups * taps
    counts["conv.place"] += tokens * groups * math.prod(a.kernel)
    counts["conv.window"] += tokens * groups
    if taps % 4:  # not interleaved word by word
        counts["conv.bytes"] += tokens * groups * taps
    counts["conv.block"] += math.ceil(tokens / 4) * groups
    counts["conv.call"] += 1
    counts["bytes"] += groups * math.ceil(n / 4) * (48 + 16 * words)
    if a.linear.table is not None:
        counts["table"] += tokens * a.linear.n
    elif n % 4:
        counts["ragged"] += tokens * a.linear.n
    return counts


def _few(a: p.AttentionStep, cores: int) -> Counter[str]:
    """All tokens in one register tile, with the output projection."""
    rounds, tiles, words = math.ceil(a.heads / cores), a.dim // 4, math.ceil(a.q.k / 4)
    value_tiles = a.value_dim // 4
    o_tiles, o_words = math.ceil(a.o.n / 4 / cores), a.o.k // 4
    counts: Counter[str] = Counter({"few.call": 1, "few.head": rounds})
    many = (rounds * tiles, rounds * tiles, rounds * value_tiles, o_tiles)
    for which, times in zip((a.q, a.k, a.v, a.o), many, strict=True):
        if not which.n:
            continue
        counts["few.depth"] += times * math.ceil(which.k / 4)
        counts[f"few.tile.{'high' if kind_of(which.packed, which.k) == 'high' else 'low'}"] += times
    counts["bytes"] += min(cores, a.heads) * tiles * (48 + 16 * words)
    counts["bytes"] += min(cores, o_tiles) * (48 + 16 * o_words)
    keys = rounds * a.tokens
    width = "wide" if a.exp_table.view(np.uint8)[511] else "narrow"
    counts.update({"few.key": keys, "few.score": keys * tiles, "few.weight": keys * a.tokens})
    counts.update({f"few.context.{width}": keys * value_tiles})
    counts.update({"few.context": rounds * value_tiles})
    counts["few.values"] += 0 if a.v.n else math.ceil(words / cores)
    return counts


def _attention(a: p.AttentionStep, cores: int) -> Counter[str]:
    """Without the output projection."""
    tokens, words = a.tokens, math.ceil(a.q.k / 4)
    tiles, value_tiles = math.ceil(a.dim / 4), math.ceil(a.value_dim / 4)
    every = math.ceil(tokens / 4)
    narrow = a.exp_table.view(np.uint8)[511] == 0
    heads = a.schedule.kind == "heads-to-cores"
    counts: Counter[str] = Counter({"attention.call": 1, "bytes": 1024})
    counts["prepare"] += math.ceil(every / cores) * words
    teams = min(cores if heads else a.schedule.teams, a.heads)
    parts = 1 if heads else cores // teams
    rounds = math.ceil(a.heads / teams)
    rows = min(tokens, 4 * math.ceil(every / parts))
    others = a.projections - 1  # of keys and of values
    keys = tokens if heads else 4 * math.ceil(others * every / parts) / max(1, others)
    groups = math.ceil(rows / 4)
    for which, many, n in ((a.q, rows, tiles), (a.k, keys, tiles), (a.v, keys, value_tiles)):
        if not which.n:
            continue
        counts += _product(rounds, math.ceil(many), n, words, kind_of(which.packed, which.k))
        counts["bytes"] += n * (48 + 16 * words) * teams
        counts["project.group"] += rounds * math.ceil(many / 4)
        counts["project"] += rounds
    counts["head"] += 0 if heads else rounds
    if a.k.n:
        counts["start"] += rounds * math.ceil(keys / 4) * tiles
    else:
        counts["load.keys"] += math.ceil(every / cores) * tiles
    if not a.v.n:
        counts["load.values"] += math.ceil(every / cores) * value_tiles
    scores = score_kind(a.score_m, a.score_s, a.score_zp, a.dim)
    pairs, value_pairs = a.dim <= 2, a.value_dim <= 2
    counts["depth"] += 0 if pairs else rounds * groups * every * tiles
    counts[f"{'pair' if pairs else 'score'}.{scores}"] += rounds * groups * every
    two = groups if narrow else math.ceil(rows / 2)  # rows or groups of a tile of the context
    width = "narrow" if narrow else "wide"
    if value_pairs:
        counts["context.pair.depth"] += rounds * two * every
        counts[f"context.pair.{width}"] += rounds * two
    else:
        counts["depth"] += rounds * two * every * value_tiles
        counts[f"context.{width}"] += rounds * two * value_tiles
    if a.value_dim % 4 and not (a.value_dim == 2 and narrow):
        counts[f"ragged.{width}"] += rounds * rows * a.value_dim
    counts[f"weight.{width}"] += rounds * rows * every
    counts[f"row.{width}"] += rounds * rows
    counts[f"group.{width}"] += rounds * groups
    counts["max"] += rounds * groups * every
    counts[f"block.{width}"] += rounds * math.ceil(groups / (ATTEND_GROUPS if narrow else 1))
    return counts
