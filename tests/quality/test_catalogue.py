"""Would the gate notice? All planted faults on pocket; minutes (`pytest -m slow tests/quality`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfsuite.libraries import import_libraries, quietly
from perfsuite.settings import resolve_settings


@pytest.mark.slow
def test_planted_faults_are_caught_and_harmless_changes_are_not(
    pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    import_libraries()
    from perfsuite.progress import silent
    from perfsuite.selftest.quality.faults import FAULTS, HARMLESS
    from perfsuite.selftest.quality.trial import Bench, Report, try_faults
    from perfsuite.session.preflight import prepare_run

    root = pytestconfig.rootpath
    settings = resolve_settings(
        {"checkpoint": "pocket", "device": "cpu", "out": str(tmp_path)}, root
    )
    run = prepare_run(settings, root)
    assert run.references is not None
    with quietly(), Bench(run, run.references) as bench:
        faults = tuple(try_faults(bench, FAULTS, lambda _: None, silent))
        harmless = tuple(try_faults(bench, HARMLESS, lambda _: None, silent))
    report = Report("pocket", run.record.identity, faults, harmless)
    missed = [trial.name for trial in faults if not trial.caught_by]
    assert report.caught >= 0.95 * len(faults), missed
    assert not report.alarms
