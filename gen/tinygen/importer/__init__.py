# SPDX-License-Identifier: Apache-2.0
"""ONNX file -> `Graph` of `Float` nodes: batch fixed to 1, shapes known, constants folded."""

from tinygen.importer.ends import IDS, fix_shape
from tinygen.importer.load import load, without_contrib
from tinygen.importer.read import NOT_QUANTISED, read_model

__all__ = ["IDS", "NOT_QUANTISED", "fix_shape", "load", "read_model", "without_contrib"]
