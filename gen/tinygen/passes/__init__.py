# SPDX-License-Identifier: Apache-2.0
"""ONNX file -> verified integer `Graph`: `import_model` does it all."""

from tinygen.passes.pipeline import Imported, import_model, import_with_origins, to_integer
from tinygen.passes.scales import lacks_scales

__all__ = ["Imported", "import_model", "import_with_origins", "lacks_scales", "to_integer"]
