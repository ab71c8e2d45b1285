"""A folder of pictures or a list of them -> jobs; every fault is found before anything starts."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from consingan.batch.book import Job
from consingan.errors import UserError
from consingan.storage.formats import SUFFIXES
from consingan.storage.run import safe_name
from consingan.training.beginning import beginning
from consingan.training.checks import check_file_name, check_picture
from consingan.training.order import FILES, Order, place_of

LISTS = (".csv", ".jsonl")
PICTURE, NAME = "picture", "name"  # columns that are no flags
MOST_BYTES = 16 * 2**20
MOST_JOBS = 20_000  # whose states a book can hold
MOST_CELLS = 1000  # of a row; there are fewer flags
MOST_FAULTS = 1000  # that are told
FIELDS = {"train_mode": "mode", "preset": "preset", "background": "background", "max_pixels": "max_pixels"}

Cell = Callable[[str, Any], tuple[str, Any]]


class FaultsError(UserError):
    """Everything that is wrong with a list.

    Args:
        source: the folder or list.
        sentences: one for each fault.
    """

    def __init__(self, source: str, sentences: Sequence[str]) -> None:
        some = f"{len(sentences)} faults" if len(sentences) > 1 else "one fault"
        super().__init__(f"{source} has {some}, and nothing was started: {' '.join(sentences)}")
        self.sentences = tuple(sentences)


@dataclass(frozen=True)
class Row:
    """A row of a list.

    Args:
        where: its place, in words.
        cells: texts, or values that can be compared, by column; what is empty is not there.
    """

    where: str
    cells: Mapping[str, Any]


def listed(source: Path, base: Order, cell: Cell) -> list[Job]:
    """The jobs of a folder, or of a list.

    Args:
        source: a folder, whose pictures are taken by their endings, not those of folders in it; or a CSV or JSON lines
            file with a column ``picture`` (relative to the list's folder), maybe ``name``, and flags of training.
        base: what is asked for of every picture.
        cell: column and text (or value) -> the flag's own name and its value; raises UserError.

    Raises:
        FaultsError: everything that is wrong.
    """
    faults: list[str] = []
    rows = list(islice(_rows(source, faults), MOST_JOBS + 1))
    return checked(rows, base, cell, source, faults)


def checked(rows: Sequence[Row], base: Order, cell: Cell, source: Path, faults: list[str]) -> list[Job]:
    """The jobs of rows.

    Args:
        rows: what is wanted.
        base, cell: as for ``listed``.
        source: a list, beside which the files of its rows are looked for, or what else they are of.
        faults: that are known already.

    Raises:
        FaultsError: everything that is wrong.
    """
    if len(rows) > MOST_JOBS:
        raise FaultsError(str(source), [f"It has more than {MOST_JOBS} pictures; make several batches of it."])
    if not rows and not faults:
        raise FaultsError(str(source), ["It names no picture; give a row for each."])
    jobs: list[Job] = []
    names: dict[str, str] = {}
    check = _Check(cell, source.parent if source.is_file() else Path())
    for row in rows:
        if (found := len(faults)) >= MOST_FAULTS:
            break
        job = check.job(row, base, faults)
        same = names.setdefault(safe_name(job.name).casefold(), row.where)
        if same != row.where:
            hint = "rename one, or give a list with a column name" if source.is_dir() else "give them a column name"
            faults.append(f"{row.where}: the name {job.name!r} is that of {same} too; {hint}.")
        if len(faults) == found:
            jobs.append(job)
    if len(faults) >= MOST_FAULTS:
        del faults[MOST_FAULTS:]
        faults.append("There may be more faults; these come first.")
    if faults:
        raise FaultsError(str(source), faults)
    return jobs


class _Check:
    """Rows -> jobs. What has been found sound once is not looked at again."""

    def __init__(self, cell: Cell, folder: Path) -> None:
        self._cell, self._folder = cell, folder
        self._cells: dict[tuple[str, Any], tuple[str, Any]] = {}
        self._orders: dict[str, str | None] = {}

    def job(self, row: Row, base: Order, faults: list[str]) -> Job:
        """The job of a row; what is wrong is added to ``faults``."""
        settings: dict[str, Any] = dict(base.settings)
        own: dict[str, Any] = {}
        for column, text in row.cells.items():
            if column in (PICTURE, NAME):
                continue
            try:
                name, value = self._value(column, text)
            except UserError as error:
                faults.append(f"{row.where}: {error}")
                continue
            if name in FILES:
                value = place_of(value, lambda file: str(self._folder / file))
                gone = [file for file in ([value] if isinstance(value, str) else value) if not os.path.exists(file)]
                faults += [f"{row.where}: --{name} {file} does not exist; check the path." for file in gone]
            (own if name in FIELDS else settings)[FIELDS.get(name, name)] = value
        if PICTURE not in row.cells:
            faults.append(f"{row.where}: no picture is given; fill the column picture.")
            return Job(row.cells.get(NAME, row.where), base)
        if wrong := _fault_of(lambda: check_file_name(row.cells[PICTURE])):
            faults.append(f"{row.where}: {wrong}")
            return Job(row.cells.get(NAME, row.where), base)
        file = str(self._folder / row.cells[PICTURE])
        name = row.cells.get(NAME) or Path(file).stem
        order = replace(base, picture=file, name=name, settings=settings, **own)
        faults += [f"{row.where}: {fault}" for fault in (_picture_fault(file), self._order_fault(order)) if fault]
        return Job(name, order)

    def _value(self, column: str, text: Any) -> tuple[str, Any]:
        if (column, text) not in self._cells:
            self._cells[column, text] = self._cell(column, text)
        return self._cells[column, text]

    def _order_fault(self, order: Order) -> str | None:
        """What contradicts itself in an order, whatever its picture."""
        key = repr((order.wanted, sorted(order.settings.items(), key=lambda each: each[0])))
        if key not in self._orders:
            self._orders[key] = _fault_of(lambda: _begin(order))
        return self._orders[key]


def _begin(order: Order) -> None:
    order.check()
    beginning(order)


def _picture_fault(file: str) -> str | None:
    def look() -> None:
        check_picture(file)
        if not Path(file).is_file():
            raise UserError(f"{file} is no ordinary file; name a picture.")

    return _fault_of(look)


def _fault_of(look: Callable[[], object]) -> str | None:
    try:
        look()
    except UserError as error:
        return str(error)
    return None


# ---- what there is to read


def _rows(source: Path, faults: list[str]) -> Iterator[Row]:
    """The rows of a source; what cannot be read is added to ``faults``.

    Raises:
        FaultsError: it cannot be read at all.
    """
    if source.is_dir():
        return iter(_of_folder(source))
    if source.suffix.lower() not in LISTS:
        what = "is no folder and no list" if source.exists() else "does not exist"
        raise FaultsError(
            str(source), [f"It {what}; give a folder of pictures, or a list that ends in .csv or .jsonl."]
        )
    if source.exists() and not source.is_file():
        raise FaultsError(str(source), ["It is no file, but a pipe or a device; write the list into a file."])
    try:
        with open(source, "rb") as file:
            data = file.read(MOST_BYTES + 1)
        text = data.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FaultsError(str(source), [f"It cannot be read ({reason}); give a text file in UTF-8."]) from error
    if len(data) > MOST_BYTES:
        raise FaultsError(str(source), [f"It is larger than {MOST_BYTES // 2**20} MiB; make several lists of it."])
    return _of_csv(text, faults) if source.suffix.lower() == ".csv" else _of_lines(text, faults)


def _of_folder(folder: Path) -> list[Row]:
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise FaultsError(str(folder), [f"It cannot be read ({error.strerror}); check its rights."]) from error
    if not files:
        raise FaultsError(str(folder), ["The folder is empty; put pictures into it, or name another."])
    wanted = [each for each in files if each.suffix.lower() in SUFFIXES and not each.name.startswith(".")]
    pictures = [each for each in wanted if each.is_file()]
    if not pictures:
        raise FaultsError(str(folder), [f"No picture is in it; it has none that ends in {', '.join(SUFFIXES)}."])
    return [Row(each.name, {PICTURE: str(each)}) for each in pictures]


def _of_csv(text: str, faults: list[str]) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        heads = [_column(head) for head in next(reader, [])]
        _check_cells(heads)
        if PICTURE not in heads:
            faults.append("line 1: there is no column picture; the first line names the columns.")
            return
        faults += [f"line 1: the column {head} is there twice." for head in sorted({*heads}) if heads.count(head) > 1]
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            where = f"line {reader.line_num}"
            if len(cells) > len(heads):
                faults.append(f"{where}: it has {len(cells)} cells and the first line {len(heads)}; quote commas.")
            pairs = zip(heads, (cell.strip() for cell in cells), strict=False)
            yield Row(where, {head: cell for head, cell in pairs if cell})
    except (csv.Error, ValueError) as error:
        faults.append(f"line {reader.line_num}: it is no CSV ({error}).")


def _of_lines(text: str, faults: list[str]) -> Iterator[Row]:
    for number, row in enumerate(io.StringIO(text, newline="\n"), 1):
        if not row.strip():
            continue
        if len(faults) >= MOST_FAULTS:
            return
        try:
            values = json.loads(row)
            if not isinstance(values, dict):
                raise ValueError("an object such as {...} is wanted")
            _check_cells(values)
            cells = {_column(str(name)): _text(value) for name, value in values.items()}
        except (ValueError, RecursionError) as error:
            faults.append(f"line {number}: it is no JSON of a picture ({error}).")
            continue
        yield Row(f"line {number}", {name: cell for name, cell in cells.items() if cell})


def _check_cells(cells: Collection[str]) -> None:
    if len(cells) > MOST_CELLS:
        raise ValueError(f"it has {len(cells)} cells, and no more than {MOST_CELLS} can be flags")


def _column(head: str) -> str:
    """A column's name as its flag is called: dashes and underscores are the same."""
    return head.strip().lstrip("-").replace("-", "_")


def _text(value: object) -> str:
    """A value of JSON as it is typed."""
    if isinstance(value, list):
        return ",".join(map(_text, value))
    if isinstance(value, dict):
        raise ValueError("a value is an object")
    return "" if value is None else str(value)
