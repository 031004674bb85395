# SPDX-License-Identifier: Apache-2.0
"""Layout strip8 of armv7em: which form a layer gets, and the values at the edge of each form."""

from __future__ import annotations

import kernel_cases as cases
import kernel_harness as harness
import numpy as np
import pytest

from machine import have_gcc, have_qemu
from tinygen.numeric import I8, Requant
from tinygen.operators import Linear
from tinygen.targets import get_target
from tinygen.targets.armv7em import strips

TARGET = get_target("armv7em")
ROOM = (1 << 23) - 1
"""The largest sum that a joint strip holds."""


def layer(weight: I8, bias: int = 0, ratio: float = 1e-4, zp: int = 3) -> Linear:
    m = np.full(len(weight), round(ratio * 2**32), np.int32)
    return Linear(weight, np.full(len(weight), bias, np.int32), Requant(m, 32, zp))


def form(op: Linear) -> int:
    return TARGET.pack_linear(op.weight, op.bias, op.requant).form


def drawn(n: int, k: int, least: int) -> I8:
    return np.random.default_rng(k).integers(least, 128, (n, k), np.int8)


def one_least_a_column(n: int, k: int) -> I8:
    """What asymmetric and full-range quantisers leave: each column's largest weight is -128."""
    weight = drawn(n, k, -127)
    weight[np.arange(n), np.random.default_rng(0).integers(0, k, n)] = -128
    return weight


def both_kinds(k: int, inputs: tuple[int, int]) -> I8:
    """Neither column 1 nor its negative fits beside column 0."""
    weight = drawn(2, k, -127)
    weight[1, inputs], weight[0, inputs] = -128, (-5, 5)
    return weight


CASES = {
    "symmetric": (layer(drawn(7, 41, -127)), strips.JOINT),
    "one -128 a column": (layer(one_least_a_column(64, 40)), strips.JOINT),
    "largest sum": (layer(np.full((4, 512), 127, np.int8), ROOM - 512 * 127 * 128), strips.JOINT),
    "smallest sum": (layer(np.full((4, 512), -127, np.int8), 512 * 127 * 128 - ROOM), strips.JOINT),
    "sum too large": (layer(np.full((4, 512), 127, np.int8), ROOM + 1 - 512 * 127 * 128), 2),
    "two kinds": (layer(both_kinds(300, (7, 9))), strips.SPLIT),
    "two kinds in few inputs": (layer(both_kinds(8, (3, 5))), strips.SPLIT),
    "two kinds in the first word": (layer(both_kinds(9, (0, 2))), strips.EXACT),
    "ratio of a half": (layer(drawn(5, 9, -127), ratio=0.499), strips.JOINT),
    "ratio above a half": (
        Linear(drawn(5, 9, -127), np.zeros(5, np.int32), Requant(np.full(5, 9, np.int32), 4, 0)),
        strips.EXACT,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_form(name: str) -> None:
    op, expected = CASES[name]
    packed = TARGET.pack_linear(op.weight, op.bias, op.requant)
    assert packed.form == expected
    np.testing.assert_array_equal(TARGET.unpack_linear(packed, *op.weight.shape), op.weight)


def test_random_cases_have_every_form() -> None:
    rng = np.random.default_rng(0)
    forms = {form(cases.linear_op(rng, 20, 4)) for _ in range(60)}
    assert forms == {strips.JOINT, strips.SPLIT, strips.EXACT}


@pytest.mark.emulated
@pytest.mark.skipif(
    not (have_gcc() and have_qemu()),
    reason="needs arm-none-eabi-gcc and qemu-system-arm",
)
@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m7"])
def test_values_at_the_edge(core: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    machine = harness.qemu("armv7em", core, tmp_path_factory.mktemp(core))
    rng, made = np.random.default_rng(0), []
    for op, _ in CASES.values():
        k = op.weight.shape[1]
        extremes = np.repeat(np.array([[-128], [127], [0]], np.int8), k, axis=1)
        hostile = np.where(op.weight[1] > 0, -128, 127).astype(np.int8)[None]
        for x in (extremes, hostile, cases.int8s(rng, 7, k)):
            made.append(cases.linear_case_of(TARGET, rng, op, x))
    machine.check(made)
