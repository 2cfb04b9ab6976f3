"""Which tests of a session measure which part, what that will take, and what there is time for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from perfsuite.plugin.selection import (
    EXACTNESS,
    LATENCY,
    LAYERS,
    QUALITY,
    STRUCTURE,
    WORKLOAD,
    own_fixtures,
    parameters_of,
    tier_of,
)
from perfsuite.progress import Progress, duration
from perfsuite.results.reasons import OutOfTime
from perfsuite.results.samples import Measurement
from perfsuite.results.verdict import Metric
from perfsuite.schedule.forecast import Forecast
from perfsuite.schedule.paces import Pace
from perfsuite.schedule.parts import Part, fitting
from perfsuite.session.run import Run
from perfsuite.session.timing import forecast_of, pace_of

FIRST_IMAGE = "first image"
"""What a sampler says that it makes before anything else."""
_WORTH_SAYING = 0.2
"""A prediction that has changed by less than this fraction is not said again."""


@dataclass
class Timetable:
    """What is still to come, and how long it will take.

    Attributes:
        run: the session's first run.
        items: tests that measure, in their order.
        limit_s: seconds that the session may take; None for as many as it needs.
        tell: told each prediction, in one line.
        clock: seconds.
    """

    run: Run
    items: Sequence[pytest.Item]
    limit_s: float | None
    tell: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    _parts: dict[str, Part] = field(init=False)
    _forecasts: dict[str | None, Forecast] = field(init=False)
    _begun: float = field(init=False)
    _said_s: float | None = None

    def __post_init__(self) -> None:
        self._parts = {item.nodeid: part_of(item) for item in self.items}
        runs = self.run.siblings or [self.run]
        self._forecasts = {each.matrix_name: forecast_of(each) for each in runs}
        self._begun = self.clock()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the session began."""
        return self.clock() - self._begun

    def plan(self) -> str:
        """The prediction before anything is measured, in one line."""
        parts = list(self._parts.values())
        if not self._is_founded():
            return f"{len(parts)} parts; how long they take is predicted after the first image"
        self._said_s = self._seconds(self._kept(parts))
        self.run.note_prediction(self._said_s)
        said = f"about {duration(self._said_s)} for {len(parts)} parts, by earlier sessions"
        left_out = len(parts) - len(self._kept(parts))
        return said + (f"; no time for {left_out} of them" if left_out else "")

    def part(self, item: pytest.Item) -> Part:
        """What a test measures."""
        return self._parts[item.nodeid]

    def left_out(self, item: pytest.Item) -> OutOfTime | None:
        """Why there is no time for a test that is about to run; None if there is."""
        if self.limit_s is None or item.nodeid not in self._parts or not self._is_founded():
            return None
        part, coming = self._parts[item.nodeid], self._coming(item.nodeid)
        if part in self._kept(coming):
            return None
        return OutOfTime(self.limit_s, self.elapsed_s, self._seconds([part]))

    def begin(self, item: pytest.Item) -> None:
        """Note that a test is about to run: its tier's pipeline will be there for the next ones."""
        part = self._parts.get(item.nodeid)
        if part is not None:
            self._forecasts = {
                name: known.begun(part) if name == part.workload else replace(known, live=None)
                for name, known in self._forecasts.items()
            }

    def noting(self, progress: Progress, part: Part) -> Progress:
        """Progress on a tier's samples that learns from the first image how long the rest takes."""
        begun: list[float] = []

        def update(what: str, done: int, total: int) -> None:
            if what == FIRST_IMAGE:
                begun.append(self.clock())
            elif begun:
                self._learn_from_first(self.clock() - begun.pop(), part)
            progress(what, done, total)

        return update

    def learn(self, measurement: Measurement, part: Part) -> None:
        """Predict anew from a tier's samples."""
        self._know(part, pace_of(measurement), self._following(part)[1:])

    def _learn_from_first(self, first_s: float, part: Part) -> None:
        """The first image of a compiled tier holds its compilation, and tells nothing else."""
        paces = self._forecasts[part.workload].paces
        if not paces.is_compiled(part.tier) and paces.known.get(part.tier) is None:
            self._know(part, Pace(image_s=first_s), self._following(part))

    def _know(self, part: Part, pace: Pace, coming: Sequence[Part]) -> None:
        forecast = self._forecasts[part.workload]
        self._forecasts[part.workload] = forecast.knowing(part.tier, pace)
        predicted_s = self.elapsed_s + self._seconds(self._kept(coming))
        if self._said_s is None:
            self.run.note_prediction(predicted_s)
        if self._said_s is None or abs(predicted_s / self._said_s - 1) > _WORTH_SAYING:
            self._said_s = predicted_s
            self.tell(
                f"about {duration(predicted_s)} in all by {part.tier}, "
                f"{duration(predicted_s - self.elapsed_s)} to go"
            )

    def _is_founded(self) -> bool:
        return all(each.paces.is_founded for each in self._forecasts.values())

    def _kept(self, parts: Sequence[Part]) -> Sequence[Part]:
        if self.limit_s is None:
            return parts
        return fitting(parts, self.limit_s - self.elapsed_s, self._seconds)

    def _coming(self, nodeid: str) -> list[Part]:
        names = list(self._parts)
        return [self._parts[name] for name in names[names.index(nodeid) :]]

    def _following(self, part: Part) -> list[Part]:
        parts = list(self._parts.values())
        return parts[parts.index(part) :] if part in parts else []

    def _seconds(self, parts: Sequence[Part]) -> float:
        return sum(
            forecast.seconds([part for part in parts if part.workload == name])
            for name, forecast in self._forecasts.items()
            if forecast.paces.is_founded
        )


def part_of(item: pytest.Item) -> Part:
    """What a test measures."""
    fixtures = own_fixtures(item)
    kinds = (
        (EXACTNESS, Metric.EXACTNESS),
        (LAYERS, Metric.LAYERS),
        (QUALITY, Metric.IMAGES),
        (STRUCTURE, Metric.STRUCTURE),
        *((name, Metric.LATENCY) for name in LATENCY),
    )
    metric = next((metric for name, metric in kinds if name in fixtures), None)
    return Part(tier_of(item) or "", metric, parameters_of(item).get(WORKLOAD))
