# SPDX-License-Identifier: Apache-2.0
"""RISC-V cores with Xpulpv2: GAP9 and the open PULP cluster."""

from tinygen.targets.xpulpv2.layout import Xpulpv2

__all__ = ["Xpulpv2"]
