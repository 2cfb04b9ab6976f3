from __future__ import annotations

import inspect

import pytest

from perfsuite import errors
from perfsuite.errors import CheckpointError, HubUnreachable, PerfsuiteError, SettingsError

EVERY_ERROR = [
    each
    for _, each in inspect.getmembers(errors, inspect.isclass)
    if each.__module__ == errors.__name__
]


@pytest.mark.parametrize("error", EVERY_ERROR)
def test_every_error_is_a_perfsuite_error_and_stands_in_the_tree_of_the_docstring(
    error: type[Exception],
) -> None:
    assert issubclass(error, PerfsuiteError)
    assert error.__name__ in (errors.__doc__ or "")


def test_a_message_is_the_problem_and_its_hint() -> None:
    error = SettingsError("no tier 'fp31'", hint="name one of fp32, bf16")
    assert str(error) == "no tier 'fp31': name one of fp32, bf16"
    assert (error.problem, error.hint) == ("no tier 'fp31'", "name one of fp32, bf16")


def test_a_hint_cannot_be_forgotten() -> None:
    with pytest.raises(TypeError, match="hint"):
        PerfsuiteError("broken")  # type: ignore[call-arg]


def test_a_silent_hub_is_a_checkpoint_that_cannot_be_had() -> None:
    assert issubclass(HubUnreachable, CheckpointError)


def test_a_message_is_one_line_however_long_and_broken_what_it_quotes() -> None:
    error = PerfsuiteError("no key 'a\nb\0c\u2028d' in " + "x" * 10**6, hint="mend it")
    assert str(error).startswith("no key 'a b c d' in xxx")
    assert str(error).endswith(" …: mend it")
    assert len(str(error)) < 1100
    assert len(str(error).splitlines()) == 1
