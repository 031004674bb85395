# SPDX-License-Identifier: Apache-2.0
"""What people and programs read: terminal tables and JSON records."""

from tinygen.report import records, tables

__all__ = ["records", "tables"]
