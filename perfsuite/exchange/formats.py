"""What an export can be written as; one row for each format.

A format of one run takes an `Entry` (values, and the record with raw samples); Otava's CSV, the
only one of many runs, stands in `perfsuite.exchange.otava`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from perfsuite.exchange.github_action import github_action_json
from perfsuite.exchange.prometheus import prometheus_text
from perfsuite.exchange.pytest_benchmark import pytest_benchmark_json
from perfsuite.exchange.pytorch_oss import pytorch_oss_json
from perfsuite.results.history import Entry

OF_ONE_RUN: Mapping[str, Callable[[Entry], str]] = {
    "pytest-benchmark": pytest_benchmark_json,
    "github-action-benchmark": github_action_json,
    "pytorch-oss": pytorch_oss_json,
    "prometheus": prometheus_text,
}
"""By the name that `perfsuite export --format` takes."""
OTAVA = "otava"
NAMES = (OTAVA, *OF_ONE_RUN)
