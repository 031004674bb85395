# SPDX-License-Identifier: Apache-2.0
"""ONNX file -> `Graph` of `Float` nodes: batch fixed to 1, shapes known, constants folded."""

from tinygen.importer.load import IDS, load
from tinygen.importer.read import NOT_QUANTISED, read_model

__all__ = ["IDS", "NOT_QUANTISED", "load", "read_model"]
