# SPDX-License-Identifier: Apache-2.0
"""The DSP kernels on the emulated Cortex-M4 and M7: many random cases, and time without data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import kernel_cases as cases
import kernel_harness as harness
import numpy as np
import pytest
from numpy.typing import NDArray

from machine import have_gcc, have_qemu
from tinygen.operators import FUSIONS
from tinygen.targets import Target

CASES = 10_000
PER_RUN = 200

pytestmark = [
    pytest.mark.emulated,
    pytest.mark.skipif(
        not (have_gcc() and have_qemu()),
        reason="needs arm-none-eabi-gcc and qemu-system-arm",
    ),
]
on_both_cores = pytest.mark.parametrize("core", ["cortex-m4", "cortex-m7"])


# -- many cases ----------------------------------------------------------------------------------


def size(rng: cases.Rng, most: int) -> int:
    """Small sizes come more often; all up to `most` come."""
    return int(rng.integers(1, rng.integers(2, most + 2)))


def linear(target: Target, rng: cases.Rng) -> cases.Case:
    return cases.linear_case(target, rng, size(rng, 9), size(rng, 90), size(rng, 12))


def conv(target: Target, rng: cases.Rng) -> cases.Case:
    kernel, dilation = rng.integers(1, 4, 2), rng.integers(1, 3, 2)
    pads = rng.integers(0, 3, 4)
    span = (kernel - 1) * dilation + 1
    plane = np.maximum(rng.integers(1, 7, 2), span - pads[:2] - pads[2:])
    groups = (tuple(rng.integers(1, 4, 2)), int(rng.integers(1, 4)))
    stride = tuple(rng.integers(1, 4, 2))
    return cases.conv_case(
        target, rng, tuple(plane), *groups, tuple(kernel), stride, tuple(dilation), tuple(pads)
    )


def attention(target: Target, rng: cases.Rng) -> cases.Case:
    shape = (size(rng, 13), size(rng, 20), size(rng, 8), size(rng, 3))
    blocks = (size(rng, 13), size(rng, 3))
    return cases.attention_case(target, rng, shape, size(rng, 5), *blocks)


def fused_attention(target: Target, rng: cases.Rng) -> cases.Case:
    shape = (size(rng, 13), size(rng, 20), size(rng, 8), size(rng, 3))
    blocks, form = (size(rng, 13), size(rng, 3)), str(rng.choice(FUSIONS[1:]))
    return cases.attention_case(target, rng, shape, size(rng, 5), *blocks, form)


def layernorm(target: Target, rng: cases.Rng) -> cases.Case:
    return cases.layernorm_case(target, rng, size(rng, 4), size(rng, 80))


def layernorm_whole(target: Target, rng: cases.Rng) -> cases.Case:
    return cases.layernorm_whole_case(target, rng, size(rng, 4), size(rng, 80))


def layernorm_steps(target: Target, rng: cases.Rng) -> cases.Case:
    return cases.layernorm_steps_case(target, rng, size(rng, 4), size(rng, 80))


def dot_product(target: Target, rng: cases.Rng) -> cases.Case:
    sizes = (size(rng, most) for most in (9, 20, 9, 4))
    return cases.dot_product_case(target, rng, *sizes)


def add(target: Target, rng: cases.Rng) -> cases.Case:
    return cases.add_case(target, rng, size(rng, 80))


def lut(target: Target, rng: cases.Rng) -> cases.Case:
    return cases.lut_case(target, rng, size(rng, 80))


def mean(target: Target, rng: cases.Rng) -> cases.Case:
    return cases.mean_case(target, rng, size(rng, 30), size(rng, 20))


def largest(target: Target, rng: cases.Rng) -> cases.Case:
    plane, kernel, stride = (tuple(int(i) for i in rng.integers(1, n, 2)) for n in (9, 4, 4))
    return cases.max_case(target, rng, plane, size(rng, 12), kernel, stride)


DRAWS = (
    linear,
    conv,
    attention,
    fused_attention,
    layernorm,
    layernorm_whole,
    layernorm_steps,
    dot_product,
    add,
    lut,
    mean,
    largest,
)


@pytest.mark.slow
@on_both_cores
@pytest.mark.parametrize("draw", DRAWS, ids=lambda draw: draw.__name__)
def test_ten_thousand_cases(
    draw: Callable[[Target, cases.Rng], cases.Case], core: str, build: Path
) -> None:
    machine = harness.qemu("armv7em", core, build)
    for first in range(0, CASES, PER_RUN):
        rngs = [np.random.default_rng((first + i, len(core))) for i in range(PER_RUN)]
        machine.check([draw(machine.target, rng) for rng in rngs])


# -- time without data ---------------------------------------------------------------------------


def adversaries(shape: tuple[int, ...]) -> list[NDArray[np.int8]]:
    n = int(np.prod(shape))
    step = np.arange(n)
    one = np.zeros(n)
    one[n // 2] = 127
    ramp, signs = step % 256 - 128, np.where(step % 2, 127, -128)
    noise = [np.random.default_rng(seed).integers(-128, 128, n) for seed in range(3)]
    flat = [np.full(n, v) for v in (-128, -1, 0, 127)]
    return [a.astype(np.int8).reshape(shape) for a in (*flat, one, ramp, signs, *noise)]


SHAPES = {
    "linear": (cases.linear_case, (7, 33, 9)),
    "attention": (cases.attention_case, ((23, 18, 5, 3), 18, 23, 3)),
    "attention, fused": (cases.attention_case, ((23, 18, 5, 3), 18, 23, 3, "fused")),
    "attention P = 2": (cases.attention_case, ((22, 16, 2, 4), 16, 22, 4)),
    "layernorm": (cases.layernorm_case, (3, 35)),
    "layernorm, whole": (cases.layernorm_whole_case, (3, 35)),
    "layernorm, variance in steps": (cases.layernorm_steps_case, (3, 35)),
    "dot product": (cases.dot_product_case, (9, 13, 6, 2)),
    "layernorm 1025": (cases.layernorm_case, (2, 1025)),
    "add": (cases.add_case, (77,)),
    "lut": (cases.lut_case, (77,)),
    "mean": (cases.mean_case, (9, 21)),
    "max": (cases.max_case, ((7, 5), 6, (3, 2), (2, 1))),
}


@on_both_cores
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("seed", [0, 1])
def test_counts_do_not_depend_on_data(
    name: str, seed: int, core: str, build: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = harness.qemu("armv7em", core, build)
    case, shape = SHAPES[name]
    drawn: dict[str, object] = {}
    for what in ("linear_op", "attention_op", "layernorm_op", "dot_product_op"):
        make = getattr(cases, what)
        monkeypatch.setattr(cases, what, lambda *a, _w=what, _m=make: drawn.setdefault(_w, _m(*a)))
    case(machine.target, np.random.default_rng(seed), *shape)  # draws the parameters once
    made = []
    for i in range(len(adversaries((1,)))):
        monkeypatch.setattr(cases, "int8s", lambda rng, *s, _i=i: adversaries(s)[_i])
        made.append(case(machine.target, np.random.default_rng(seed), *shape))
    counts = {round(ticks * 5 / 32) for ticks in machine.check(made)}
    assert len(counts) == 1, f"{name}: {sorted(counts)} instructions"
