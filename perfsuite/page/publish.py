"""Putting a report where people look: a page, a Markdown file, the summary of a CI system's job.

What cannot be written, or fails in any other way, is a warning: it changes no verdict.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from perfsuite.errors import OutputError
from perfsuite.report.comment import session_comment
from perfsuite.report.markdown import MOST_BYTES, render_markdown
from perfsuite.results.session import RunRecord
from perfsuite.storage import write_whole

SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"
MOST_SUMMARY_BYTES = 1 << 20
"""Of all that one step writes to a job's summary, as GitHub has it."""


def publish_page(
    records: Sequence[Path], target: Path, history: str | None = None
) -> tuple[str, ...]:
    """Write the page of some records, with trends from a history; warnings."""
    try:
        from perfsuite.page.render import write_page

        write_page(records, target, history)
    except OutputError as error:
        return (error.problem,)
    except Exception as error:  # a page is not worth a verdict
        return (f"no page ({type(error).__name__}: {error})",)
    return ()


def publish_session(record: RunRecord, file: Path | None) -> tuple[str, ...]:
    """Write a session as a comment to a file, and to the summary of a CI system's job; warnings."""
    if file is None and not os.environ.get(SUMMARY_VARIABLE):
        return ()
    try:
        text = render_markdown(session_comment(record), limit=MOST_BYTES)
    except Exception as error:  # a comment is not worth a verdict
        return (f"no Markdown ({type(error).__name__}: {error})",)
    return publish_markdown(text, file)


def publish_markdown(text: str, file: Path | None) -> tuple[str, ...]:
    """Write Markdown to a file, and to the summary of a CI system's job; warnings.

    Args:
        text: what to write.
        file: where to; None for the summary alone.
    """
    warnings = []
    if file is not None:
        try:
            write_whole(file, text.encode(errors="replace"))
        except OutputError as error:
            warnings.append(error.problem)
    summary = os.environ.get(SUMMARY_VARIABLE)
    if summary:
        warnings += _add_to_summary(text, summary)
    return tuple(warnings)


def _add_to_summary(text: str, summary: str) -> list[str]:
    content = text.encode(errors="replace")
    try:
        known = os.path.getsize(summary) if os.path.exists(summary) else 0
        if known + len(content) > MOST_SUMMARY_BYTES:
            return [f"${SUMMARY_VARIABLE} is full: GitHub shows no more than 1 MiB of a step"]
        with open(summary, "ab") as file:
            file.write(content)
    except OSError as error:
        return [f"${SUMMARY_VARIABLE} {summary} cannot be written ({error.strerror})"]
    return []
