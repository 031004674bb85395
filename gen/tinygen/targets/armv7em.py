# SPDX-License-Identifier: Apache-2.0
"""Cortex-M4, M7, and M33 with the DSP extension."""

from __future__ import annotations

from tinygen.targets.portable import Portable


class ArmV7EM(Portable):
    name = "armv7em"
