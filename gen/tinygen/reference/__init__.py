# SPDX-License-Identifier: Apache-2.0
"""A graph in numpy: every value, bit for bit, by the definitions of its operators.

Every kernel on every core gives these bits for every shape.
"""

from tinygen.reference.run import dequantise, quantise, run, run_all

__all__ = ["dequantise", "quantise", "run", "run_all"]
