# SPDX-License-Identifier: Apache-2.0
"""The integer model against the float-simulated one, on real samples."""

from tinygen.fidelity.compare import CheckResult, check, onnx_outputs
from tinygen.fidelity.samples import load_samples

__all__ = ["CheckResult", "check", "load_samples", "onnx_outputs"]
