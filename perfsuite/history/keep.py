"""Appending to the history from where a verdict is given: a failure is told and changes nothing."""

from __future__ import annotations

from perfsuite.errors import HistoryError
from perfsuite.results.history import Entry


def keep(entry: Entry, place: str | None) -> HistoryError | None:
    """Append a run.

    Args:
        entry: the run.
        place: of the history; None to keep none.

    Returns:
        What went wrong; None if nothing did.
    """
    if place is None:
        return None
    try:
        from perfsuite.history.database import Database
        from perfsuite.history.store import append

        append(Database(place), [entry])
    except HistoryError as error:
        return error
    except Exception as error:  # the verdict stands, whatever a driver does
        said = " ".join(f"{type(error).__name__}: {error}".split())
        return HistoryError(f"the run could not be added to the history ({said})", hint="")
    return None


def check(place: str | None) -> None:
    """See beforehand that a place is one, without connecting.

    Raises:
        HistoryError: it is not, or its driver is not installed.
    """
    if place is not None:
        from perfsuite.history.database import Database

        Database(place).check()
