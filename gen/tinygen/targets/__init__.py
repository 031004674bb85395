# SPDX-License-Identifier: Apache-2.0
"""Targets by name."""

from tinygen.targets.base import PackedLinear, Target

__all__ = ["PackedLinear", "Target", "get_target"]


def get_target(name: str) -> Target:
    """portable | armv7em | xpulpv2; KeyError otherwise."""
    from tinygen.targets.armv7em import ArmV7EM
    from tinygen.targets.portable import Portable
    from tinygen.targets.xpulpv2 import Xpulpv2

    targets: dict[str, type[Target]] = {t.name: t for t in (Portable, ArmV7EM, Xpulpv2)}
    return targets[name]()
