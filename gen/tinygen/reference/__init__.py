# SPDX-License-Identifier: Apache-2.0
"""THE definition: the integer semantics of every operator, in numpy.

Every kernel on every core gives these bits for every shape.
"""

from tinygen.reference.run import dequantise, quantise, run, run_all, run_op

__all__ = ["dequantise", "quantise", "run", "run_all", "run_op"]
