# SPDX-License-Identifier: Apache-2.0
"""The integer model against the float-simulated one, on real samples."""

from tinygen.fidelity.compare import CheckResult, Progress, check, onnx_outputs
from tinygen.fidelity.fusion import FusedCheck, FusedModel, check_fused, fuse_within
from tinygen.fidelity.layers import LayerDifference, check_layers
from tinygen.fidelity.noise import LayerNoise
from tinygen.fidelity.quantize import Quantised, quantize
from tinygen.fidelity.samples import import_for, load_samples, shortened

__all__ = [
    "CheckResult",
    "FusedCheck",
    "FusedModel",
    "LayerDifference",
    "LayerNoise",
    "Progress",
    "Quantised",
    "check",
    "check_fused",
    "check_layers",
    "fuse_within",
    "import_for",
    "load_samples",
    "onnx_outputs",
    "quantize",
    "shortened",
]
