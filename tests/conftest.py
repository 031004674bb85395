# SPDX-License-Identifier: Apache-2.0
"""For all tests: a rule that does not lower the order of rewriting fails them."""

from tinygen.passes import engine

engine.STRICT = True
