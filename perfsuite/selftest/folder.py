"""The folder of a self-test that can be stopped and goes on where it was."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from perfsuite.errors import OutputError
from perfsuite.storage import read_json, write_json


@dataclass(frozen=True)
class Plan:
    """What a self-test does; two of them belong together only if these are equal.

    Attributes:
        schema: version of this layout.
    """

    schema: int


def agree_on_plan(folder: Path, plan: Plan) -> None:
    """Note the plan of a folder, or see that what is in it was made by the same one.

    Raises:
        OutputError: it was made by another, or the folder cannot be written.
    """
    path = folder / "plan.json"
    if not path.is_file():
        write_json(path, plan)
        return
    hint = "delete the folder, or pass another with --out"
    before = read_json(path, type(plan), schema=plan.schema, error=OutputError, hint=hint)
    if before != plan:
        raise OutputError(f"{folder} holds trials of another self-test", hint=hint)
