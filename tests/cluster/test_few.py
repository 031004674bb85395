# SPDX-License-Identifier: Apache-2.0
"""Layers of a few rows on a cluster: the kernels by themselves, and in projects."""

from __future__ import annotations

import ctypes as c
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostbuild import build, run
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs import GraphBuilder
from tinygen import operators as ops
from tinygen.boards import load_board
from tinygen.numeric import I8, Requant
from tinygen.operators.attention.cluster import few_work, fits_few
from tinygen.operators.attention.layer import pack_project
from tinygen.operators.attention.schedule import FEW
from tinygen.operators.linear import linear_few_work
from tinygen.passes.short import narrow_weights
from tinygen.planner import make_plan
from tinygen.project import create_project, promise, random_samples
from tinygen.targets import PackedLinear, get_target

KERNELS = Path(__file__).parents[2] / "kernels"
SOURCES = (
    *("cluster/attention_few.c", "cluster/linear_few.c", "xpulpv2/few.c", "xpulpv2/lut.c"),
    *("runtime/team_single.c", "runtime/dma_host.c"),
)
TARGET = get_target("xpulpv2")

pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="no host C compiler (cc)")


class Linear(c.Structure):
    """tg_linear_t"""

    _fields_ = (
        *((name, c.c_void_p) for name in ("w", "bias", "m", "table")),
        *((name, c.c_int32) for name in ("k", "n", "s", "zp", "form")),
    )


class Attention(c.Structure):
    """tg_attention_t"""

    _fields_ = (
        *((name, Linear) for name in "qkvo"),
        *((name, c.c_int32) for name in ("heads", "dim", "value_dim")),
        *((name, c.c_int32) for name in ("score_m", "score_s", "score_zp")),
        ("exp_table", c.c_void_p),
        *((name, c.c_int32) for name in ("mult", "frac", "s", "offset", "levels", "levels_up")),
    )


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> c.CDLL:
    made = tmp_path_factory.mktemp("few") / "few.so"
    sources = [str(KERNELS / "src" / s) for s in SOURCES]
    flags = ["-O1", "-std=c11", "-fPIC", "-shared", f"-I{KERNELS / 'include'}"]
    flags += [f"-I{KERNELS / 'src'}", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]
    subprocess.run(["cc", *flags, *sources, "-o", str(made)], check=True)
    return c.CDLL(str(made))


GUARD = 0x5A


def call(function: Any, op: c.Structure, x: I8, n: int, size: int, *more: int) -> I8:
    """By one core: x [rows, k] -> y [rows, n]; a guard stands behind y and the working memory."""
    rows = len(x)
    work = np.full(size + 64, GUARD, np.uint8)
    y = np.full(rows * n + 64, GUARD, np.int8)
    place, near = (c.c_void_p(a.ctypes.data) for a in (y, work))
    numbers = [c.c_int32(i) for i in more]
    function(c.byref(op), c.c_void_p(x.ctypes.data), c.c_int32(rows), place, *numbers, near)
    assert np.all(y[rows * n :] == GUARD) and np.all(work[-64:] == GUARD)
    found: I8 = y[: rows * n].reshape(rows, n)
    return found


def on_the_kernel(library: c.CDLL, op: ops.Attention, x: I8) -> I8:
    e = x.shape[1]
    n, inner = op.wo.shape
    kept = []

    def linear(packed: PackedLinear, k: int, n: int, zp: int) -> Linear:
        kept.append(packed)
        return Linear(packed.w.ctypes.data, None, None, None, k, n, 0, zp, 0)

    every = [
        linear(pack_project(TARGET, op, which), e, inner, r.zp)
        for which, r in (("q", op.rq), ("k", op.rk), ("v", op.rv))
    ]
    every.append(linear(TARGET.pack_linear(op.wo, op.bo, op.ro), inner, n, op.ro.zp))
    table, r = TARGET.pack_exp(op.exp_table), op.context
    made = Attention(
        *every,
        *(op.heads, op.dim, op.dim, int(op.score.m[0]), op.score.s, op.score.zp),
        table.ctypes.data,
        *(r.mult, r.frac, r.s, r.offset, 0, 0),
    )
    size = few_work(TARGET, op, 1)
    return call(library.tg_cluster_attention_few_s8, made, x, n, size)


def fine(r: Requant) -> Requant:
    """The same ratios to the tenth bit more: sums are rounded by the high half of a product."""
    return Requant(((r.m.astype(np.int64) << 10) | 731).astype(np.int32), 32, r.zp)


def high(op: ops.Attention) -> ops.Attention:
    fields = {name: fine(getattr(op, name)) for name in ("rq", "rk", "rv", "ro", "score")}
    return replace(op, **fields)


@st.composite
def layers(draw: st.DrawFn) -> tuple[ops.Attention, I8]:
    tokens, e = draw(st.integers(1, 5)), draw(st.integers(1, 40))
    b = GraphBuilder((tokens, e), draw(st.integers(0, 1 << 20)))
    op = b.attention(e, 4 * draw(st.integers(1, 6)), draw(st.integers(1, 5)))
    n = 4 * draw(st.integers(1, 8))
    inner = op.wo.shape[1]
    op = replace(op, wo=b.weight(n, inner), bo=b.bias(n), ro=b.requant(n, inner))
    if draw(st.booleans()):
        op = high(op)
    if draw(st.booleans()):
        op = narrow_weights(op) or op
    x = b.int8(tokens, e)
    if draw(st.booleans()):
        x = np.where(x > 0, 127, -128).astype(np.int8)
    return op, x


@settings(deadline=None, max_examples=300)
@given(layers())
def test_bit_equal(library: c.CDLL, layer: tuple[ops.Attention, I8]) -> None:
    op, x = layer
    assert fits_few(TARGET, op, len(x))
    np.testing.assert_array_equal(on_the_kernel(library, op, x), op.reference([x]))


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_linear_bit_equal(library: c.CDLL, data: st.DataObject) -> None:
    rows, k = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 70))
    n = 4 * data.draw(st.integers(1, 12))
    b = GraphBuilder((rows, k), data.draw(st.integers(0, 1 << 20)))
    op = b.linear(n, k, table=data.draw(st.booleans()))
    if data.draw(st.booleans()):
        op = replace(op, requant=fine(op.requant))
    tiles = data.draw(st.integers(1, n // 4))
    x, packed = b.int8(rows, k), TARGET.pack_linear(op.weight, op.bias, op.requant)
    table = None if op.table is None else op.table.ctypes.data
    made = Linear(packed.w.ctypes.data, None, None, table, k, n, 0, op.requant.zp, 0)
    size = linear_few_work(TARGET, n, k, tiles, table is not None)
    found = call(library.tg_cluster_linear_few_s8, made, x, n, size, tiles)
    np.testing.assert_array_equal(found, op.reference([x]))


@pytest.mark.parametrize("tokens", [1, 4, 5])
@pytest.mark.parametrize("cores", [1, 3, 8])
def test_in_a_project(tokens: int, cores: int, tmp_path: Path) -> None:
    """Heads that the cores do not divide, fewer heads than cores, both kinds of rounding."""
    b = GraphBuilder((tokens, 16), tokens)
    b.add("nine", b.attention(16, 4, 9))
    b.add("two", high(b.attention(16, 12, 2)))
    b.add("chunks", b.linear(404, 16, table=True))
    b.add("back", b.linear(12, 404))
    graph = b.graph()
    plan = make_plan(graph, load_board("gap9"))
    assert {s.schedule for s in plan.steps if s.op == "attention"} == {str(FEW)}
    assert ("linear_few" in {s.function for s in plan.steps}) == (tokens == 5)
    create_project(plan, promise(graph, random_samples(graph, 3), None), "pulp-sdk", tmp_path / "n")
    run(build(tmp_path / "n", "thread" if cores == 3 else "address,undefined", cores))
    if cores == 3:  # as benchmarks/near.py measures them
        run(build(tmp_path / "n", "", cores, "-DTG_WEIGHTS_NEAR"))


@pytest.mark.parametrize("source", ["attention_few.c", "attention_few.h", "linear_few.c"])
def test_a_missing_wait_shows(tmp_path: Path, source: str) -> None:
    b = GraphBuilder((5, 8))
    b.add("attention", b.attention(8, 4, 2))
    b.add("linear", b.linear(8, 8))
    graph = b.graph()
    promised = promise(graph, random_samples(graph, 3), None)
    create_project(make_plan(graph, load_board("gap9")), promised, "pulp-sdk", tmp_path / "n")
    (file,) = (tmp_path / "n").rglob(f"cluster/{source}")
    file.write_text(re.sub(r"tg_(dma_wait|wait_weights)\(", "(void)(", file.read_text()))
    done = subprocess.run([build(tmp_path / "n", "", 1)], capture_output=True, text=True)
    assert done.returncode != 0


@pytest.mark.parametrize(
    ("tokens", "e", "p", "levels"), [(6, 16, 4, 0), (5, 16, 2, 0), (5, 18, 4, 0), (5, 16, 4, 255)]
)
def test_other_layers_go_the_usual_way(tokens: int, e: int, p: int, levels: int) -> None:
    op = replace(GraphBuilder((tokens, e)).attention(e, p, 2), levels=levels)
    assert not fits_few(TARGET, op, tokens)


def test_sums_that_need_sixty_four_bits_go_the_usual_way() -> None:
    op = GraphBuilder((5, 16)).attention(16, 4, 2)
    assert fits_few(TARGET, op, 5)
    steep = Requant(np.array([(1 << 25) + 1], np.int32), 23, 0)
    assert not fits_few(TARGET, replace(op, score=steep), 5)
