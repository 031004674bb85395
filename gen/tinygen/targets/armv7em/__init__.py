# SPDX-License-Identifier: Apache-2.0
"""Cortex-M4 and M7, and Cortex-M33 with the DSP extension."""

from tinygen.targets.armv7em.layout import ArmV7EM

__all__ = ["ArmV7EM"]
