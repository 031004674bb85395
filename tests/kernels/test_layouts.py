# SPDX-License-Identifier: Apache-2.0
"""Packed weights unpack to themselves; C files that are registered exist."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import kernel_cases as cases
import kernel_harness as harness
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygen.numeric import Requant
from tinygen.operators.attention.layer import pack_project
from tinygen.targets import PackedLinear, every_kernel, get_target

TARGETS = ("portable", "armv7em")
targets = pytest.mark.parametrize("name", TARGETS)
sizes = st.integers(1, 40)


def slice_of(packed: PackedLinear, at: int, size: int) -> PackedLinear:
    return replace(packed, w=packed.w[at * size : (at + 1) * size])


@targets
@settings(derandomize=True, database=None, max_examples=60)
@given(n=sizes, k=sizes, seed=st.integers(0, 99))
def test_linear_unpacks(name: str, n: int, k: int, seed: int) -> None:
    target, rng = get_target(name), np.random.default_rng(seed)
    op = cases.linear_op(rng, k, n)
    packed = target.pack_linear(op.weight, op.bias, op.requant)
    np.testing.assert_array_equal(target.unpack_linear(packed, n, k), op.weight)
    if name == "portable":
        np.testing.assert_array_equal(packed.m, np.broadcast_to(op.requant.m, n))
    assert packed.bias.dtype == packed.m.dtype == np.int32
    assert packed.layout == f"{name}/{target.layouts['linear']}"


@targets
@settings(derandomize=True, database=None, max_examples=30)
@given(p=st.integers(1, 9), h=st.integers(1, 5), e=sizes)
def test_heads_unpack_one_by_one(name: str, p: int, h: int, e: int) -> None:
    target = get_target(name)
    op = cases.attention_op(np.random.default_rng(0), 3, e, p, h, 2)
    for which, weight in (("q", op.wq), ("k", op.wk), ("v", op.wv)):
        packed = pack_project(target, op, which)
        size = len(packed.w) // h
        for i in range(h):
            unpacked = target.unpack_linear(slice_of(packed, i, size), p, e)
            np.testing.assert_array_equal(unpacked, weight[i * p : (i + 1) * p])


@targets
def test_groups_of_a_convolution_unpack_one_by_one(name: str) -> None:
    target, rng = get_target(name), np.random.default_rng(0)
    weight = rng.integers(-128, 128, (9, 2, 3, 1), np.int8)
    requant = Requant(np.array([5], np.int32), 7, 0)
    packed = target.pack_conv(weight.reshape(9, -1), 3, np.zeros(9, np.int32), requant)
    for g in range(3):
        unpacked = target.unpack_linear(slice_of(packed, g, len(packed.w) // 3), 3, 6)
        np.testing.assert_array_equal(unpacked, weight[3 * g : 3 * g + 3].reshape(3, 6))


@targets
def test_registered_sources_exist(name: str) -> None:
    target, compact = get_target(name), get_target(name).compact()
    files = {f for kernel in every_kernel() for f in target.sources(kernel)}
    if compact:
        files |= {f for kernel in every_kernel() for f in compact.sources(kernel)}
    for file in files:
        assert (harness.KERNELS / "src" / file).is_file(), file
    brought = {f.stem for f in (harness.KERNELS / "src" / name).glob("*.c")}
    used = {Path(f).stem for f in files if name in f}
    assert brought == used


def test_unknown_target() -> None:
    with pytest.raises(KeyError):
        get_target("z80")
