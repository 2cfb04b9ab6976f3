"""What well-known tools would have said of the same samples.

Each rule holds one new run against one stored run, as the tool does, on the raw seconds.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scipy import stats

Samples = Sequence[float]


@dataclass(frozen=True)
class Rule:
    """A rule of another tool.

    Attributes:
        name: short.
        source: the tool and its option.
        alarms: whether it calls the second run slower than the first.
    """

    name: str
    source: str
    alarms: Callable[[Samples, Samples], bool]


def _statistic_above(statistic: Callable[[Samples], float], percent: float) -> Rule:
    name = f"{statistic.__name__.removeprefix('f')}:{percent:g}%"

    def alarms(old: Samples, new: Samples) -> bool:
        return statistic(new) > statistic(old) * (1 + percent / 100)

    return Rule(name, f"pytest-benchmark --benchmark-compare-fail={name}", alarms)


def _mann_whitney(old: Samples, new: Samples) -> bool:
    ratio = statistics.median(new) / statistics.median(old)
    return ratio > 1.1 and float(stats.mannwhitneyu(old, new).pvalue) < 0.002


def _t_test(old: Samples, new: Samples) -> bool:
    p_value = float(stats.ttest_ind(old, new).pvalue)
    return statistics.fmean(new) > statistics.fmean(old) and p_value < 0.05


RULES = (
    _statistic_above(statistics.median, 10),
    _statistic_above(statistics.fmean, 5),
    _statistic_above(min, 10),
    Rule("Mann-Whitney 1.1", "asv: p < 0.002 and ratio of medians above 1.1", _mann_whitney),
    Rule("t-test 95%", "pyperf: two-sided t-test at 95 %, slower", _t_test),
)
