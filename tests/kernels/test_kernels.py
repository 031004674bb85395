# SPDX-License-Identifier: Apache-2.0
"""Every kernel gives the bits of `tinygen.reference`, on the host and on emulated cores."""

from __future__ import annotations

import shutil
from pathlib import Path

import kernel_cases as cases
import kernel_harness as harness
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from kernel_cases import Case
from kernel_harness import Machine

from machine import have_gcc, have_qemu
from tinygen.operators import FUSIONS

# -- drawing shapes ------------------------------------------------------------------------------

FORMS = FUSIONS
small, width = st.integers(1, 9), st.one_of(st.integers(1, 12), st.integers(13, 70))
pair = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def convs(draw: st.DrawFn) -> tuple:
    kernel, dilation = draw(pair), draw(pair)
    pads = draw(st.tuples(*[st.integers(0, 2)] * 4))
    span = [(kernel[i] - 1) * dilation[i] + 1 for i in (0, 1)]
    plane = tuple(max(draw(small), span[i] - pads[i] - pads[i + 2]) for i in (0, 1))
    return (plane, draw(pair), draw(st.integers(1, 3)), kernel, draw(pair), dilation, pads)


@st.composite
def attentions(draw: st.DrawFn) -> tuple:
    shape = (draw(st.integers(1, 21)), draw(width), draw(small), draw(st.integers(1, 5)))
    blocks = (draw(small), draw(st.integers(1, 5)))
    return (shape, draw(small), *blocks, draw(st.sampled_from(FORMS)))


SHAPES = {
    cases.linear_case: st.tuples(small, width, width),
    cases.conv_case: convs(),
    cases.attention_case: attentions(),
    cases.layernorm_case: st.tuples(small, st.one_of(width, st.integers(300, 700))),
    cases.layernorm_whole_case: st.tuples(small, st.one_of(width, st.integers(300, 700))),
    cases.layernorm_steps_case: st.tuples(small, st.one_of(width, st.integers(300, 700))),
    cases.dot_product_case: st.tuples(small, st.integers(1, 21), small, st.integers(1, 5)),
    cases.add_case: st.tuples(width),
    cases.add_wide_case: st.tuples(width),
    cases.lut_case: st.tuples(width),
    cases.mean_case: st.tuples(width, small),
    cases.embed_case: st.tuples(width, width, st.integers(1, 256)),
    cases.max_case: st.tuples(st.tuples(small, small), small, pair, pair),
}
seeds = st.integers(0, 2**32 - 1)
call = st.one_of(*(st.tuples(st.just(f), shape, seeds) for f, shape in SHAPES.items()))


def make(machine: Machine, drawn: list[tuple]) -> list[Case]:
    return [f(machine.target, np.random.default_rng(seed), *shape) for f, shape, seed in drawn]


FIXED = [
    *(
        (cases.linear_case, s)
        for s in ((1, 1, 1), (1, 64, 3), (81, 18, 5), (7, 2, 2), (3, 127, 33))
    ),
    (cases.linear_case, (2, 1, 9)),
    (cases.linear_case, (9, 257, 2)),
    (cases.attention_case, ((1, 18, 2, 1), 1, 1, 1)),
    (cases.attention_case, ((81, 18, 2, 12), 18, 16, 5)),
    (cases.attention_case, ((81, 32, 32, 2), 32, 81, 1)),
    (cases.attention_case, ((5, 7, 3, 12), 11, 2, 12)),
    (cases.attention_case, ((66, 16, 2, 8), 16, 8, 8)),
    (cases.attention_case, ((512, 4, 5, 1), 3, 7, 1)),
    *((cases.attention_case, ((81, 32, 32, 2), 32, 81, 1, form)) for form in FORMS[1:]),
    *((cases.attention_case, ((1, 1, 3, 2), 3, 1, 2, form)) for form in FORMS[1:]),
    *((cases.attention_case, ((7, 18, 5, 3), 5, 3, 2, form)) for form in FORMS[1:]),
    (cases.layernorm_case, (1, 1)),
    (cases.max_case, ((1, 213), 24, (1, 213))),
    (cases.max_case, ((1, 1), 1, (3, 3), (2, 2))),
    (cases.layernorm_case, (3, 1025)),
    (cases.layernorm_case, (4, 363)),
    (cases.layernorm_whole_case, (1, 1)),
    (cases.layernorm_whole_case, (4, 8193)),
    *((cases.layernorm_steps_case, shape) for shape in ((1, 1), (5, 16), (4, 363), (3, 4097))),
    *((cases.dot_product_case, s) for s in ((1, 1, 1, 1), (17, 17, 8, 4), (3, 513, 4, 1))),
]


def fixed(machine: Machine, repeats: int) -> list[Case]:
    drawn = [(*call, seed) for seed in range(repeats) for call in FIXED]
    drawn += [(f, (max(1, 3 * s // 2), s), 7) for f in (cases.mean_case,) for s in (1, 6, 81)]
    return make(machine, drawn)


def shifts(machine: Machine) -> list[Case]:
    """Every s, with ratios on both sides of 0.5."""
    shapes = [((5, 9, 3, s), seed) for s in range(1, 33) for seed in range(6)]
    return make(machine, [(cases.linear_case, shape, seed) for shape, seed in shapes])


def ties(machine: Machine) -> list[Case]:
    """Rounding half up, at every s."""
    shapes = [((5, 9, 7, s), seed) for s in range(1, 32) for seed in range(2)]
    return make(machine, [(cases.ties_case, shape, seed) for shape, seed in shapes])


def fuzz(machine: Machine, lists: int, calls: int) -> None:
    @settings(
        max_examples=lists,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],  # the message names the shape; shrinking takes minutes
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(call, min_size=calls, max_size=calls + 1))
    def run(drawn: list[tuple]) -> None:
        machine.check(make(machine, drawn))

    run()


# -- the host ------------------------------------------------------------------------------------

HOSTED = ("portable", "xpulpv2")  # what this computer's compiler can build
needs_cc = pytest.mark.skipif(not shutil.which("cc"), reason="no host C compiler (cc)")


@needs_cc
@pytest.mark.parametrize("target", HOSTED)
def test_host_fixed_shapes(target: str, build: Path) -> None:
    machine = harness.host(target, build)
    machine.check(fixed(machine, 6) + shifts(machine) + ties(machine))


@needs_cc
@pytest.mark.parametrize("target", HOSTED)
def test_host_any_shape(target: str, build: Path) -> None:
    fuzz(harness.host(target, build), 100, 40)


# -- emulated cores ------------------------------------------------------------------------------

CORES = [
    *[("portable", "cortex-m3"), ("armv7em", "cortex-m4"), ("armv7em", "cortex-m7")],
]
needs_qemu = pytest.mark.skipif(
    not (have_gcc() and have_qemu()),
    reason="needs arm-none-eabi-gcc and qemu-system-arm",
)
needs_zig = pytest.mark.skipif(
    not (harness.have_zig() and harness.have_unicorn()), reason="needs ziglang and unicorn (PyPI)"
)


@pytest.mark.emulated
@needs_qemu
@pytest.mark.parametrize(("target", "core"), CORES)
def test_qemu_fixed_shapes(target: str, core: str, build: Path) -> None:
    machine = harness.qemu(target, core, build)
    machine.check(fixed(machine, 2))
    machine.check(shifts(machine) + ties(machine))


@pytest.mark.emulated
@needs_qemu
@pytest.mark.parametrize(("target", "core"), CORES)
def test_qemu_any_shape(target: str, core: str, build: Path) -> None:
    fuzz(harness.qemu(target, core, build), 40, 40)


@pytest.mark.emulated
@needs_zig
@pytest.mark.parametrize(("target", "core"), [("portable", "cortex-m3"), ("armv7em", "cortex-m7")])
def test_unicorn_with_clang(target: str, core: str, build: Path) -> None:
    """What a machine with nothing but Python can check."""
    machine = harness.unicorn(target, core, build)
    machine.check(fixed(machine, 1) + shifts(machine) + ties(machine))
    fuzz(machine, 3, 40)


@pytest.mark.skipif(not have_gcc(), reason="needs arm-none-eabi-gcc")
@pytest.mark.parametrize(
    ("target", "core"), [("portable", "cortex-m0plus"), ("armv7em", "cortex-m33")]
)
def test_compiles_for_other_cores(target: str, core: str, build: Path) -> None:
    harness.build_firmware(harness.get_target(target), core, "gcc", build)
