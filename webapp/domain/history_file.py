"""Reading a history from a CSV file in the contract's format: row by row, whatever the file's size.

Only the file is looked at here; what the database says of its rows is for :mod:`webapp.domain.imports`.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from webapp.domain.accounts import clean_name, parse_book_no
from webapp.domain.camps import clean_label
from webapp.domain.errors import InvalidError
from webapp.domain.records import CampRole, State

if TYPE_CHECKING:
    from _csv import Reader

EARLIEST_YEAR = 1900
REQUIRED = ("book_no", "name", "camp", "camp_date")
OPTIONAL = ("site", "camp_role", "attended")
STATES = {
    "yes": State.PRESENT,
    "no": State.ABSENT,
    "excused": State.EXCUSED,
    "expected": State.EXPECTED,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One good row. ``site`` is empty where the file does not say."""

    line: int
    book_no: int
    name: str
    site: str
    camp: str
    camp_date: date
    camp_role: CampRole
    state: State


@dataclass(frozen=True, slots=True)
class Problem:
    """One bad row: its line in the file (1 is the header) and why it is bad."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


def read(path: Path) -> Iterator[Entry | Problem]:
    """The rows of a UTF-8 CSV file as they come: the good ones, and the bad ones with their reasons.

    Raises :class:`InvalidError` where the file cannot be read as a table at all: at once when it is not
    there, its header is missing, or a column is missing, unknown or named twice; while reading when it is
    not UTF-8.
    """
    try:
        source = path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise InvalidError(f"{path} cannot be read: {error.strerror}.") from None
    table = csv.reader(_decoded(source), strict=True)
    try:
        columns = _header(table)
    except BaseException:
        source.close()
        raise
    return _rows(source, table, columns)


def _rows(source: TextIO, table: "Reader", columns: Sequence[str]) -> Iterator[Entry | Problem]:
    with source:
        while True:
            line = table.line_num + 1
            try:
                cells = next(table)
            except StopIteration:
                return
            except csv.Error as error:
                yield Problem(line, f"not readable as CSV: {error}.")
                continue
            if not any(cell.strip() for cell in cells):
                continue
            try:
                yield _entry(line, columns, cells)
            except InvalidError as error:
                yield Problem(line, str(error))


def _decoded(source: Iterable[str]) -> Iterator[str]:
    number = 0
    lines = iter(source)
    while True:
        number += 1
        try:
            line = next(lines)
        except StopIteration:
            return
        except UnicodeDecodeError:
            raise InvalidError(
                f"The file is not UTF-8 text (first noticed near line {number}). Save it as “CSV UTF-8” and try again."
            ) from None
        yield line


def _header(table: "Reader") -> list[str]:
    try:
        columns = [name.strip() for name in next(table, [])]
    except csv.Error as error:
        raise InvalidError(f"The header cannot be read: {error}.") from None
    except OSError as error:
        raise InvalidError(f"The file cannot be read: {error.strerror}.") from None
    _check_header(columns)
    return columns


def _check_header(columns: Sequence[str]) -> None:
    unknown = [name for name in columns if name not in REQUIRED + OPTIONAL]
    missing = [name for name in REQUIRED if name not in columns]
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if not any(columns):
        raise InvalidError("The file is empty: its first line must name the columns.")
    if missing:
        raise InvalidError(f"The first line must name the columns; missing: {', '.join(missing)}.")
    if unknown:
        raise InvalidError(f"Unknown column(s): {', '.join(name[:40] or '(no name)' for name in unknown)}.")
    if twice:
        raise InvalidError(f"Column(s) named twice: {', '.join(twice)}.")


def _entry(line: int, columns: Sequence[str], cells: Sequence[str]) -> Entry:
    if len(cells) != len(columns):
        raise InvalidError(f"it has {len(cells)} of {len(columns)} columns.")
    row = {column: cell.strip() for column, cell in zip(columns, cells, strict=True)}
    attended = row.get("attended") or "yes"
    if attended not in STATES:
        raise InvalidError(f"attended is “{attended[:20]}”; it must be one of {', '.join(STATES)}.")
    camp_role = row.get("camp_role") or CampRole.VOLUNTEER
    if camp_role not in list(CampRole):
        raise InvalidError(f"camp_role is “{camp_role[:20]}”; it must be one of {', '.join(CampRole)}.")
    return Entry(
        line=line,
        book_no=parse_book_no(row["book_no"]),
        name=_name(row["name"]),
        site=_label(row["site"], "site") if row.get("site") else "",
        camp=_label(row["camp"], "camp"),
        camp_date=parse_date(row["camp_date"]),
        camp_role=CampRole(camp_role),
        state=STATES[attended],
    )


# The same few names and dates come again and again.
_name = lru_cache(maxsize=65_536)(clean_name)
_label = lru_cache(maxsize=4_096)(clean_label)


@lru_cache(maxsize=4_096)
def parse_date(text: str) -> date:
    """A date written 2026-04-12. Raises :class:`InvalidError` for anything else."""
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        try:
            day = date.fromisoformat(text)
        except ValueError:
            raise InvalidError(f"“{text}” is not a date of the calendar.") from None
        if day.year < EARLIEST_YEAR:
            raise InvalidError(f"“{text}” is before {EARLIEST_YEAR}; is it a slip of the pen?")
        return day
    raise InvalidError(f"“{text[:20]}” is not a date; write year, month and day as 2026-04-12.")
