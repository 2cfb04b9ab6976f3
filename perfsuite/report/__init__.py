"""Rendering: one table of results in many dialects. A renderer returns text, computes nothing."""

from perfsuite.report.console import render_console, render_tiers
from perfsuite.report.session import COLUMNS, Row, notes, rows

__all__ = ["COLUMNS", "Row", "notes", "render_console", "render_tiers", "rows"]
