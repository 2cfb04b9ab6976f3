"""The house's floors: imports only go down, and values load no torch (docs/architecture.md)."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "perfsuite"
HEAVY = {"torch", "diffusers", "transformers", "torchao", "skimage", "pytest"}
PAGE = ROOT / "docs" / "architecture.md"


def floors() -> list[tuple[str, ...]]:
    """Rooms of each floor as the page lists them, the ground first."""
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \|", PAGE.read_text(), re.M)
    ordered = sorted((int(number), rooms) for number, rooms in rows)
    return [tuple(re.findall(r"`([\w/]+)`", rooms)) for _, rooms in ordered]


def room_of(module: str) -> str:
    """A folder's modules are one room; a file of the package is its own."""
    return module.split(".")[1] if "." in module else "perfsuite"


def imports(path: Path) -> Iterator[str]:
    """Modules of the package that a file imports anywhere."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            if node.module == "perfsuite":
                yield from (f"perfsuite.{alias.name}" for alias in node.names)
            elif node.module.startswith("perfsuite."):
                yield node.module
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.startswith("perfsuite."))


def files() -> list[Path]:
    entrances = {PACKAGE / "__init__.py", PACKAGE / "__main__.py"}  # they only lead into rooms
    return [path for path in PACKAGE.rglob("*.py") if path not in entrances]


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def test_the_page_lists_every_room() -> None:
    listed = {room for floor in floors() for room in floor}
    there = {room_of(module_of(path)) for path in files()}
    assert listed == there


def test_imports_only_go_down() -> None:
    place = {room: number for number, floor in enumerate(floors()) for room in floor}
    upwards = [
        f"{module_of(path)} -> {module}"
        for path in files()
        for module in imports(path)
        if room_of(module) != room_of(module_of(path))
        and place[room_of(module)] >= place[room_of(module_of(path))]
    ]
    assert upwards == []


def test_no_module_is_longer_than_350_lines_and_no_function_than_50() -> None:
    long = []
    for path in files():
        text = path.read_text()
        if text.count("\n") > 350:
            long.append(f"{path.relative_to(ROOT)}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                docstring = ast.get_docstring(node, clean=False) or ""
                length = (node.end_lineno or 0) - node.lineno + 1 - docstring.count("\n")
                if length > 50:
                    long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {length}")
    assert long == []


def test_values_judging_and_reports_load_no_torch() -> None:
    code = (
        "import sys, importlib, pkgutil\n"
        "for name in ('results', 'report', 'judge'):\n"
        "    room = importlib.import_module(f'perfsuite.{name}')\n"
        "    for each in pkgutil.iter_modules(room.__path__):\n"
        "        importlib.import_module(f'perfsuite.{name}.{each.name}')\n"
        f"print(*sorted({HEAVY!r} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_no_word_of_the_old_house_is_left() -> None:
    gone = r"\b(class Draft|foot\(\)|LatencyVerdict|QualityVerdict|MetricVerdict|mend=)"
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in files()
        for match in re.finditer(gone, path.read_text())
    ]
    assert found == []
