# SPDX-License-Identifier: Apache-2.0
"""Random graphs and damaged files: `tools/fuzz.py` runs thousands, the tests some hundreds."""
