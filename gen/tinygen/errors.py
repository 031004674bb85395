# SPDX-License-Identifier: Apache-2.0
"""The one exception that reaches the user: a sentence, never a traceback."""

from __future__ import annotations


class TinygenError(Exception):
    """Bad input or an impossible request.

    The message is one sentence for the user: it names the file and node where they are known,
    the reason, and a remedy. The command line prints it on stderr and exits with status 1.
    """
