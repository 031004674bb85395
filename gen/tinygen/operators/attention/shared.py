# SPDX-License-Identifier: Apache-2.0
"""An attention layer on a cluster: its call, and what the busiest core does."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from tinygen.lowering import Names
from tinygen.operators.attention.layer import Layer
from tinygen.operators.attention.schedule import FEW
from tinygen.operators.linear import linear_busiest, tile_products
from tinygen.targets import Counts
from tinygen.targets.xpulpv2.rounding import score_kind

ATTEND_GROUPS = 3
"""Groups of query rows whose weights of eight bits exist at a time (xpulpv2/tiles.h)."""


def shared_call(a: Layer, c: Names) -> str:
    work = c.place(c.work)
    if a.schedule == FEW:
        how = "few_fused" if a.projections < 3 else "few"
        return f"tg_cluster_attention_{how}_s8(&{c.ident}, {c.x}, {a.tokens}, {c.y}, {work});"
    heads = a.schedule.kind == "heads-to-cores"
    how = "fused_" if a.projections < 3 else ""
    how += ("heads" if heads else "rows") + ("_levels" if a.levels else "")
    context = f"(int8_t *){c.place(a.slots.context)}"
    last = int(a.ahead) if heads else a.schedule.teams
    return (
        f"tg_cluster_attention_{how}_s8(&{c.ident}, {c.x}, {a.tokens}, {context}, {c.y}, "
        f"{c.tiles}, {last}, {work});"
    )


def busiest(a: Layer, cores: int, tiles: int) -> Counts:
    if a.schedule == FEW:
        return _busiest_few(a, cores)
    return _busiest_heads(a, cores) + linear_busiest(a.tokens, a.o, tiles, cores)


def _busiest_few(a: Layer, cores: int) -> Counts:
    """All tokens in one register tile, with the output projection."""
    rounds, tiles, words = math.ceil(a.heads / cores), a.dim // 4, math.ceil(a.q.k / 4)
    value_tiles = a.value_dim // 4
    o_tiles, o_words = math.ceil(a.o.n / 4 / cores), a.o.k // 4
    counts: Counts = Counter({"few.call": 1, "few.head": rounds})
    many = (rounds * tiles, rounds * tiles, rounds * value_tiles, o_tiles)
    for which, times in zip((a.q, a.k, a.v, a.o), many, strict=True):
        if not which.n:
            continue
        counts["few.depth"] += times * math.ceil(which.k / 4)
        counts[f"few.tile.{'high' if which.kind == 'high' else 'low'}"] += times
    counts["bytes"] += min(cores, a.heads) * tiles * (48 + 16 * words)
    counts["bytes"] += min(cores, o_tiles) * (48 + 16 * o_words)
    keys = rounds * a.tokens
    width = "wide" if a.exp_table.view(np.uint8)[511] else "narrow"
    counts.update({"few.key": keys, "few.score": keys * tiles, "few.weight": keys * a.tokens})
    counts.update({f"few.context.{width}": keys * value_tiles})
    counts.update({"few.context": rounds * value_tiles})
    counts["few.values"] += 0 if a.v.n else math.ceil(words / cores)
    return counts


def _busiest_heads(a: Layer, cores: int) -> Counts:
    """Without the output projection."""
    tokens, words = a.tokens, math.ceil(a.q.k / 4)
    tiles, value_tiles = math.ceil(a.dim / 4), math.ceil(a.value_dim / 4)
    every = math.ceil(tokens / 4)
    narrow = a.exp_table.view(np.uint8)[511] == 0
    heads = a.schedule.kind == "heads-to-cores"
    counts: Counts = Counter({"attention.call": 1, "bytes": 1024})
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
        counts += tile_products(rounds, math.ceil(many), n, words, which.kind)
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
