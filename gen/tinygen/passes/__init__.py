# SPDX-License-Identifier: Apache-2.0
"""ONNX file -> verified integer `Graph`: `import_model` does it all; `fuse` makes variants."""

from tinygen.passes.fused import Fused, fuse, is_exponential
from tinygen.passes.pipeline import Imported, import_model, import_with_origins, to_integer

__all__ = [
    "Fused",
    "Imported",
    "fuse",
    "import_model",
    "import_with_origins",
    "is_exponential",
    "to_integer",
]
