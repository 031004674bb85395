# SPDX-License-Identifier: Apache-2.0
"""Targets by name."""

from tinygen.targets.base import PackedLinear, Target

__all__ = ["PackedLinear", "Target", "get_target"]


def get_target(name: str) -> Target:
    """portable | armv7em | xpulpv2; KeyError otherwise."""
    from tinygen.targets.armv7em import ArmV7EM
    from tinygen.targets.portable import Portable
    from tinygen.targets.xpulpv2 import Xpulpv2

    every: tuple[type[Target], ...] = (Portable, ArmV7EM, Xpulpv2)
    targets = {t.name: t for t in every}
    return targets[name]()
