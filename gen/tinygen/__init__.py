# SPDX-License-Identifier: Apache-2.0
"""tinygen: a quantised transformer encoder (ONNX) becomes firmware that builds at once."""

__version__ = "0.1.0"
