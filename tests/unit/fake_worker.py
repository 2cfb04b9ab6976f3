"""An arm of the gate for tests: a worker without a process."""

from __future__ import annotations

from dataclasses import dataclass, field

from perfsuite.images.generate import GeneratedImage
from perfsuite.results.ab import Arm
from perfsuite.results.machine import Conditions
from perfsuite.results.samples import PeakMemory
from perfsuite.workers.protocol import Build, Built, Counts, Finished, Hello, Turn, WarmedUp
from perfsuite.workload import Workload
from tests.unit.counted import counters


@dataclass
class FakeWorker:
    """An arm for tests: says what it was told to, and notes what it was asked.

    Attributes:
        name: which arm it is.
        events: of all arms, in order; 'control sample' and so on.
        samples_s: seconds of its samples, in turn; the last one is repeated for ever.
        turns: in how many equal turns it makes an image.
        hello: its greeting.
        built: what building finds.
        finished: what finishing finds.
        pictures: its images.
        errors: what a method raises instead, by the method's name.
        counts: what counting finds.
    """

    name: Arm
    events: list[str] = field(default_factory=list)
    samples_s: list[float] = field(default_factory=lambda: [1.0])
    turns: int = 1
    hello: Hello = field(default_factory=lambda: Hello("", "", "3.11.0", {}))
    built: Built = field(default_factory=lambda: Built(1.0, 2.0, ()))
    finished: Finished = field(
        default_factory=lambda: Finished(
            PeakMemory(1 << 30, "fake"), 0, 0, 0, Conditions(), cpu_s=0.0, wall_s=1.0
        )
    )
    pictures: tuple[GeneratedImage, ...] = ()
    errors: dict[str, BaseException] = field(default_factory=dict)
    counts: Counts = field(default_factory=lambda: Counts(counters()))
    _turn: int = 0

    def start(self) -> Hello:
        """The scripted greeting."""
        self._note("start")
        return self.hello

    def build(self, request: Build) -> Built:
        """What building was scripted to find."""
        self._note("build")
        return self.built

    def warm_up(self, cores: tuple[int, ...]) -> WarmedUp:
        """One image, as long as the next sample."""
        self._note("warm_up")
        return WarmedUp((self.samples_s[0],))

    def count(self) -> Counts:
        """The scripted counts."""
        self._note("count")
        return self.counts

    def begin(self) -> None:
        """Only noted."""
        self._note("begin")

    def turn(self) -> Turn:
        """A part of the next scripted sample."""
        self._note("turn")
        self._turn = (self._turn + 1) % self.turns
        done = self._turn == 0
        sample_s = self.samples_s.pop(0) if done and len(self.samples_s) > 1 else self.samples_s[0]
        return Turn(sample_s / self.turns, done)

    def finish(self) -> Finished:
        """What finishing was scripted to find."""
        self._note("finish")
        return self.finished

    def images(self, workload: Workload) -> tuple[GeneratedImage, ...]:
        """The scripted images."""
        self._note("images")
        return self.pictures

    def close(self) -> None:
        """Only noted."""
        self.events.append(f"{self.name.value} close")

    def _note(self, method: str) -> None:
        self.events.append(f"{self.name.value} {method}")
        if method in self.errors:
            raise self.errors[method]
