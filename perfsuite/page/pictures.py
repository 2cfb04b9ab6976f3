"""Contact sheets inside a page: each file once, within the bytes that a page may have."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from pathlib import Path

from perfsuite.errors import OutputError
from perfsuite.report.sheet import SMALL
from perfsuite.results.images import ContactSheets, ImageEvidence, ImageScore
from perfsuite.results.method import Finding
from perfsuite.storage import read_file, why

MOST_BYTES = 4_000_000
"""Of all sheets of a page, before base64 makes them a third longer."""
_KINDS = ((b"RIFF", "image/webp"), (b"\x89PNG", "image/png"))


@dataclass(frozen=True)
class Cell:
    """One image, its reference and the map of their difference: places on three sheets.

    Attributes:
        number: of the image, from 0.
        across: horizontal place of the cell, percent as CSS has it.
        down: vertical place.
        score: how near it is to its reference.
        peak: brightest point of the map, as a fraction of full range; None if there is no map.
    """

    number: int
    across: float
    down: float
    score: ImageScore
    peak: float | None


@dataclass(frozen=True)
class Gallery:
    """A tier's images.

    Attributes:
        label: names it: a tier, with its workload or its arm.
        tier: whose colour it has.
        references: number of the references' sheet in the page.
        images: of the tier's.
        differences: of the maps'.
        columns: cells in a row.
        rows: of cells.
        cells: one for each image, in the order of the sheets.
        worst: number of the cell that is least like its reference.
        aspect: width of a cell over its height.
        pixelated: whether pixels are shown as squares: small images are enlarged.
    """

    label: str
    tier: str
    references: int
    images: int
    differences: int
    columns: int
    rows: int
    cells: tuple[Cell, ...]
    worst: int
    aspect: float
    pixelated: bool


@dataclass
class Album:
    """The sheets of a page.

    Attributes:
        urls: of sheets, in the order of their numbers.
        findings: sheets that are not there, and why.
        spent_bytes: of all sheets so far.
    """

    urls: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    spent_bytes: int = 0
    _numbers: dict[Path, int] = field(default_factory=dict)

    def gallery(
        self, label: str, tier: str, evidence: ImageEvidence | None, folder: Path, longest: int
    ) -> Gallery | None:
        """A tier's images; None where they were not kept, or cannot be shown.

        Args:
            label: names it.
            tier: whose images they are.
            evidence: scores with their sheets.
            folder: of the record.
            longest: pixels of an image's longer side.
        """
        sheets = evidence.sheets if evidence else None
        if evidence is None or sheets is None or not evidence.scores:
            return None
        numbers = self._numbers_of(
            label, folder, (sheets.references, sheets.images, sheets.differences)
        )
        if numbers is None:
            return None
        references, images, differences = numbers
        cells = _cells(sheets, evidence.scores)
        columns = max(1, sheets.columns)
        return Gallery(
            label,
            tier,
            references,
            images,
            differences,
            columns,
            -(-len(cells) // columns),
            cells,
            evidence.scores.index(evidence.worst),
            sheets.aspect,
            pixelated=longest <= SMALL,
        )

    def _numbers_of(
        self, label: str, folder: Path, names: tuple[str, ...]
    ) -> tuple[int, ...] | None:
        """Numbers of a gallery's sheets: all of them, or None if one is missing or none fits."""
        paths = [folder / name for name in names]
        try:
            new = {path: _read(path, folder) for path in paths if path not in self._numbers}
        except OutputError as error:
            self._lack(label, f"its images are not shown: {error.problem}")
            return None
        needed_bytes = sum(map(len, new.values()))
        if self.spent_bytes + needed_bytes > MOST_BYTES:
            where = paths[-1].parent
            self._lack(label, f"its images would make the page too large; they lie in {where}")
            return None
        for path, content in new.items():
            self._numbers[path] = len(self.urls)
            kind = _kind(content)
            self.urls.append(f"data:{kind};base64,{base64.b64encode(content).decode()}")
        self.spent_bytes += needed_bytes
        return tuple(self._numbers[path] for path in paths)

    def _lack(self, label: str, problem: str) -> None:
        self.findings.append(Finding(label, problem))


def _read(path: Path, folder: Path) -> bytes:
    """A sheet's content; it has to lie below the record's folder.

    Raises:
        OutputError: it is not there, or is no picture.
    """
    if not path.resolve().is_relative_to(folder.resolve()):
        raise OutputError(f"{path} is not beside the record", hint="")
    try:
        content = read_file(path)
    except (OSError, ValueError) as error:
        raise OutputError(f"{path.name}: {why(error)}", hint="") from None
    if _kind(content) is None:
        raise OutputError(f"{path.name} is no picture", hint="")
    return content


def _kind(content: bytes) -> str | None:
    return next((name for start, name in _KINDS if content.startswith(start)), None)


def _cells(sheets: ContactSheets, scores: tuple[ImageScore, ...]) -> tuple[Cell, ...]:
    columns = max(1, sheets.columns)
    rows = -(-len(scores) // columns)
    peaks = (*sheets.peaks, *(None for _ in scores))
    return tuple(
        Cell(
            number,
            _percent(number % columns, columns),
            _percent(number // columns, rows),
            score,
            peaks[number],
        )
        for number, score in enumerate(scores)
    )


def _percent(place: int, count: int) -> float:
    """Where the cell of a sheet stands, as CSS counts background-position."""
    return round(100 * place / (count - 1), 4) if count > 1 else 0.0
