# SPDX-License-Identifier: Apache-2.0
"""The command line: arguments in, one call out, one table or JSON object printed."""

from tinygen.cli.entry import app, main

__all__ = ["app", "main"]
