# SPDX-License-Identifier: Apache-2.0
"""`python -m tinygen`."""

from tinygen.cli import main

main()
