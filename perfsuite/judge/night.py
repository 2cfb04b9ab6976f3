"""From the sessions of a night to what is to be said of it. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from perfsuite.results.night import Confirmation, Night, Regression
from perfsuite.results.session import RunRecord, TierResult
from perfsuite.results.verdict import Metric, Outcome, Verdict

_HELD = (Outcome.PASSED, Outcome.IMPROVED, Outcome.RECORDED)
_OPEN = (Outcome.INVALID, Outcome.INCONCLUSIVE, Outcome.NO_BASELINE, Outcome.NOT_MEASURED)


def judge_night(records: Sequence[RunRecord]) -> Night:
    """What a night's sessions say together.

    A regression is confirmed if a session that was made to confirm it finds the same one.

    Args:
        records: of sessions, those that confirm others among them, oldest first.
    """
    again = {each.confirms: each for each in records if each.confirms is not None}
    sessions = [each for each in records if each.confirms is None]
    found = [each for record in sessions for each in regressions(record, again.get(record.run_id))]
    tiers = [(record, tier) for record in sessions for tier in record.tiers]
    return Night(
        tuple(sorted(found, key=_gravity)),
        len(sessions),
        tuple(_unsettled(tiers)),
        tuple(record.run_id for record in sessions if not record.complete),
        sum(
            verdict.outcome in (Outcome.PASSED, Outcome.IMPROVED)
            for _, tier in tiers
            for verdict in tier.verdicts
        ),
    )


def regressions(record: RunRecord, second: RunRecord | None = None) -> Iterator[Regression]:
    """What is worse in a session, with what a second run says of it.

    Args:
        record: the session.
        second: the run that was to confirm it; None without one.
    """
    for tier in record.tiers:
        other = second.result(tier.tier, tier.workload) if second is not None else None
        if tier.error:
            yield _regression(record, tier, None, other, _of_error(other))
        for verdict in tier.verdicts:
            if verdict.outcome is Outcome.REGRESSED:
                again = other.verdict(verdict.metric) if other is not None else None
                said = _of_verdict(other, again)
                yield _regression(record, tier, verdict, other, said)


def _regression(
    record: RunRecord,
    tier: TierResult,
    verdict: Verdict | None,
    other: TierResult | None,
    confirmation: Confirmation,
) -> Regression:
    return Regression(
        record.environment.hardware,
        record.checkpoint,
        tier.label,
        record.run_id,
        verdict.metric if verdict else None,
        verdict,
        other.verdict(verdict.metric) if other is not None and verdict is not None else None,
        "" if verdict else tier.error or "",
        confirmation,
    )


def _of_error(other: TierResult | None) -> Confirmation:
    if other is None:
        return Confirmation.MISSING
    if other.error:
        return Confirmation.CONFIRMED
    return Confirmation.REFUTED if other.verdicts else Confirmation.UNSETTLED


def _of_verdict(other: TierResult | None, again: Verdict | None) -> Confirmation:
    if other is None:
        return Confirmation.MISSING
    if again is None or other.error:
        return Confirmation.UNSETTLED
    if again.outcome is Outcome.REGRESSED:
        return Confirmation.CONFIRMED
    return Confirmation.REFUTED if again.outcome in _HELD else Confirmation.UNSETTLED


def _unsettled(tiers: Iterable[tuple[RunRecord, TierResult]]) -> Iterator[tuple[str, Outcome]]:
    for record, tier in tiers:
        for verdict in tier.verdicts:
            if verdict.outcome in _OPEN:
                yield f"{tier.label} on {record.environment.hardware.model}", verdict.outcome


def _gravity(regression: Regression) -> tuple[int, int, float]:
    """Orders regressions from the worst."""
    order = list(Confirmation).index(regression.confirmation)
    is_latency = regression.metric is Metric.LATENCY
    grew = regression.first.change if regression.first and is_latency else None
    return order, int(regression.metric is not None), -(grew or 0.0)
