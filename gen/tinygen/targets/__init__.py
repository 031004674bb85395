# SPDX-License-Identifier: Apache-2.0
"""Targets by name. A new one is a package here, a line below, and a folder of kernels."""

from tinygen.resources import resource
from tinygen.targets.armv7em import ArmV7EM
from tinygen.targets.base import PackedLinear, Target
from tinygen.targets.loops import Counts, DotProduct, Loops, scaled
from tinygen.targets.portable import Portable
from tinygen.targets.xpulpv2 import Xpulpv2

__all__ = [
    "Counts",
    "DotProduct",
    "Loops",
    "PackedLinear",
    "Target",
    "every_kernel",
    "get_target",
    "scaled",
]

TARGETS: tuple[type[Target], ...] = (Portable, ArmV7EM, Xpulpv2)


def get_target(name: str) -> Target:
    """portable | armv7em | xpulpv2; KeyError otherwise."""
    return {t.name: t for t in TARGETS}[name]()


def every_kernel() -> list[str]:
    """What `Target.sources` takes: each has a portable version."""
    files = (resource("kernels") / "src" / "portable").glob("*.c")
    return [*sorted(f.stem for f in files), "attention", "attention_stream"]
