"""Entries of a history for tests: real records, with a date and a latency of their own."""

from __future__ import annotations

import datetime
from dataclasses import replace

from perfsuite.history.entries import entry_of_session
from perfsuite.results.history import Entry
from perfsuite.results.session import RunRecord, TierResult
from perfsuite.results.verdict import Outcome
from tests.unit.samples import latency_samples, latency_verdict, measurement, record

FIRST = datetime.datetime(2026, 1, 1, 3, tzinfo=datetime.timezone.utc)


def session_on(
    night: int,
    *,
    latency_s: float = 0.2,
    host: str | None = "node-1",
    outcome: Outcome = Outcome.PASSED,
    packages: dict[str, str] | None = None,
    revision: str = "abc1234",
    tier: str = "fp32",
) -> RunRecord:
    """A session that measured one tier, so many nights after the first."""
    at = FIRST + datetime.timedelta(days=night)
    known = record(
        TierResult(
            tier,
            measurement=measurement(tier, latency_samples((latency_s,) * 5)),
            verdicts=(latency_verdict(outcome, measured=latency_s),),
        )
    )
    environment = replace(
        known.environment,
        recorded_at=at.isoformat(),
        git_revision=revision,
        packages=known.environment.packages | (packages or {}),
    )
    run_id = f"{at:%Y%m%dT%H%M%SZ}-{night % 65536:04x}"
    return replace(known, run_id=run_id, environment=environment, host=host, complete=True)


def entry_on(night: int, **changes: object) -> Entry:
    """The same as an entry."""
    return entry_of_session(session_on(night, **changes))  # type: ignore[arg-type]
