# SPDX-License-Identifier: Apache-2.0
"""What people and programs read: terminal tables, JSON records, one HTML page."""

from tinygen.report import page, records, tables

__all__ = ["page", "records", "tables"]
