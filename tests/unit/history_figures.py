"""How long the history takes with 10,000 runs: the figures of docs/history.md.

python -m tests.unit.history_figures [RUNS]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from perfsuite.history.database import Database
from perfsuite.history.entries import entry_of_session
from perfsuite.history.store import Selection, append, list_runs
from perfsuite.history.trends import find_trends
from perfsuite.results.history import Entry
from perfsuite.results.session import TierResult
from tests.unit.history_entries import session_on
from tests.unit.samples import latency_samples, latency_verdict, measurement

TIERS = ("fp32", "bf16", "sdpa", "compile", "fused-qkv", "int8")


def night(number: int) -> Entry:
    """A session of six tiers with 80 samples each."""
    seconds = tuple(0.2 + 0.001 * ((number * 7 + each * 13) % 17) for each in range(80))
    tiers = tuple(
        TierResult(
            tier,
            measurement=measurement(tier, latency_samples(seconds)),
            verdicts=(latency_verdict(measured=0.2),),
        )
        for tier in TIERS
    )
    record = replace(session_on(number % 3000), tiers=tiers)
    return entry_of_session(replace(record, run_id=f"{record.run_id[:17]}{number:05}"))


def main(runs: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(str(Path(folder) / "history.sqlite"))
        for first in range(0, runs, 500):
            append(database, [night(each) for each in range(first, min(first + 500, runs))])
        added = []
        for number in range(runs, runs + 30):
            entry = night(number)
            start = time.perf_counter()
            append(database, [entry])
            added.append(time.perf_counter() - start)
        start = time.perf_counter()
        (trend,) = find_trends(database, Selection(tier="int8", metric="latency"))
        searched = time.perf_counter() - start
        start = time.perf_counter()
        list_runs(database, Selection(last=20))
        listed = time.perf_counter() - start
        size = (database.file or Path()).stat().st_size / 2**20
        print(f"runs {len(trend.series.points)}, {len(TIERS)} tiers of 80 samples, {size:.0f} MiB")
        print(f"adding a run: median {statistics.median(added):.3f} s, most {max(added):.3f} s")
        print(f"trend of one tier: {searched:.2f} s; list of 20: {listed:.3f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
