"""Trends of what the history holds: for the command and for pages."""

from __future__ import annotations

from perfsuite.history.database import Database
from perfsuite.history.store import Selection, load_series
from perfsuite.judge.trend import trend_of
from perfsuite.results.history import Trend


def find_trends(database: Database, selection: Selection) -> tuple[Trend, ...]:
    """Series of the runs that are asked for, each with what changed in it.

    Raises:
        HistoryError: the database cannot be read, or there is none.
    """
    return tuple(trend_of(series) for series in load_series(database, selection))
