"""Reading a history from a CSV file in the contract's format: row by row, whatever the file's size.

Only the file is looked at here; what the database says of its rows is for :mod:`webapp.domain.import_export.imports`.
"""

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache, partial
from pathlib import Path
from typing import IO, NamedTuple, TypeVar

from webapp.domain import cells as csv_cells
from webapp.domain.camps.calendar import clean_label
from webapp.domain.errors import InvalidError
from webapp.domain.models.attendance import CampRole, State
from webapp.domain.people.accounts import clean_name, parse_book_no

T = TypeVar("T")

EARLIEST_YEAR = 1900
REQUIRED = ("book_no", "name", "camp", "camp_date")
OPTIONAL = ("site", "camp_role", "attended")
SEPARATORS = ",;\t"  # Excel's depends on the country; the header tells
CHUNK = 65_536  # bytes read at a time
LONGEST_LINE = 1_000_000  # bytes; whoever sends more on one line sends no table
SAVE_AS = "Save it as “CSV UTF-8” and try again."
OTHER_FILES = {
    "a workbook or another zip archive": (b"PK\x03\x04", b"PK\x05\x06"),
    "an old Excel workbook": (b"\xd0\xcf\x11\xe0",),
    "a PDF document": (b"%PDF-",),
    "UTF-16 text (“Unicode text” in Excel)": (BOM_UTF16_LE, BOM_UTF16_BE),
}
STATES = {
    "yes": State.PRESENT,
    "no": State.ABSENT,
    "excused": State.EXCUSED,
    "expected": State.EXPECTED,
}
CAMP_ROLES = {role.value: role for role in CampRole}


class Entry(NamedTuple):
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


@dataclass(frozen=True, slots=True)
class Form:
    """How a file is written: the names of its columns in their order, and what stands between two cells."""

    columns: Sequence[str]
    separator: str


@dataclass(frozen=True, slots=True)
class Place:
    """A place between two rows: how many bytes and lines of the file are before it."""

    at: int = 0
    lines: int = 0


class Reader:
    """The rows of a UTF-8 CSV file as they come: the good ones, and the bad ones with their reasons.

    ``chunks`` are the bytes of the file, in whatever pieces. Reading may be left after any row and taken up
    at that :attr:`place` by another reader, which is given the :attr:`form` and the bytes from there on.

    Raises :class:`InvalidError` where the file cannot be read as a table at all: at once when its header is
    missing, or a column is missing, unknown or named twice; while reading when it is not UTF-8 text.
    """

    def __init__(self, chunks: Iterable[bytes], form: Form | None = None, place: Place | None = None) -> None:
        self._lines = Lines(chunks, place or Place())
        self._texts = iter(self._lines)
        self.form = form or form_of(next(self._texts, ""), REQUIRED, OPTIONAL)

    @property
    def place(self) -> Place:
        """Where the next row begins."""
        return Place(self._lines.at, self._lines.number)

    def __iter__(self) -> Iterator[Entry | Problem]:
        lines = ((self._lines.number, text) for text in self._texts)
        return parsed(lines, self.form, _entry)


def parsed(
    lines: Iterable[tuple[int, str]],
    form: Form,
    made: Callable[[int, Mapping[str, str]], T],
) -> Iterator[T | Problem]:
    """Yield what is ``made`` of each numbered line of a file, or why it cannot be; nothing of one
    that is empty.
    """
    for line, text in lines:
        try:
            if row := _row_of(text, form):
                yield made(line, row)
        except InvalidError as error:
            yield Problem(line, str(error))


def read(path: Path) -> Iterator[Entry | Problem]:
    """The rows of a file, as a :class:`Reader` gives them.

    Raises :class:`InvalidError` as that does, and where the file is not there.
    """
    try:
        source = path.open("rb")
    except OSError as error:
        raise InvalidError(f"{path} cannot be read: {error.strerror}.") from None
    try:
        reader = Reader(iter(partial(source.read, CHUNK), b""))
    except BaseException:
        source.close()
        raise
    return _closing(source, reader)


def _closing(source: IO[bytes], rows: Iterable[Entry | Problem]) -> Iterator[Entry | Problem]:
    with source:
        yield from rows


def must_be_text(start: bytes) -> None:
    """Raises :class:`InvalidError` for a file whose first bytes are those of something else than UTF-8 text."""
    for kind, beginnings in OTHER_FILES.items():
        if start.startswith(beginnings):
            raise InvalidError(f"This is {kind}, not a CSV file. {SAVE_AS}")


class Lines:
    """The lines of a UTF-8 file as text; ``at`` and ``number`` say how many bytes and lines were given out.

    While they are read, :class:`InvalidError` is raised for what is no text, or no end of a line.
    """

    def __init__(self, chunks: Iterable[bytes], place: Place) -> None:
        self._chunks = chunks
        self.at, self.number = place.at, place.lines

    def __iter__(self) -> Iterator[str]:
        """The lines with their ends."""
        for line in self._split():
            content = line if self.at else line.removeprefix(BOM_UTF8)
            self.at += len(line)
            self.number += 1
            try:
                yield content.decode()
            except UnicodeDecodeError:
                raise not_text(self.number) from None

    def _split(self) -> Iterator[bytes]:
        rest = b""
        for chunk in self._chunks:
            lines = (rest + chunk).splitlines(keepends=True)
            rest = lines.pop() if lines else b""  # it may go on, or be the first half of a CRLF
            yield from lines
            if len(rest) > LONGEST_LINE:
                raise InvalidError(f"Line {self.number + 1} is longer than a row can be. Is this a CSV file?")
        if rest:
            yield rest


def not_text(line: int) -> InvalidError:
    """What is said of a file that is not UTF-8, from a line on."""
    return InvalidError(f"The file is not UTF-8 text (first noticed near line {line}). {SAVE_AS}")


def form_of(header: str, required: Sequence[str], optional: Sequence[str]) -> Form:
    """How a file is written, by its first line.

    Raises :class:`InvalidError` where that does not name the columns, each once and no others.
    """
    separator = max(SEPARATORS, key=header.count)
    try:
        columns = [name.strip().lower() for name in csv_cells.split(header, separator)]
    except InvalidError as error:
        raise InvalidError(f"The first line is {error}") from None
    if columns[:1] and columns[0].startswith("sep="):
        raise InvalidError("The first line only names the separator. Delete it: the first line must name the columns.")
    while len(columns) > 1 and not columns[-1]:  # a spreadsheet writes those that it once had, too
        columns.pop()
    known = [*required, *optional]
    unknown = [name for name in columns if name not in known]
    missing = [name for name in required if name not in columns]
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if not any(columns):
        raise InvalidError("The file is empty: its first line must name the columns.")
    if missing:
        raise InvalidError(f"The first line must name the columns; missing: {', '.join(missing)}.")
    if unknown:
        shown = ", ".join(name[:40] or "(no name)" for name in unknown[:5])
        raise InvalidError(f"Unknown column(s): {shown}. There are {', '.join(known)}.")
    if twice:
        raise InvalidError(f"Column(s) named twice: {', '.join(twice)}.")
    return Form(columns, separator)


def _row_of(line: str, form: Form) -> dict[str, str]:
    """What a line has in each column; nothing where all is empty.

    Raises :class:`InvalidError` where the line is no CSV, or has not as many cells as there are columns.
    """
    cells = csv_cells.split(line, form.separator)
    if not any(map(str.strip, cells)):
        return {}
    while len(cells) > len(form.columns) and not cells[-1].strip():
        cells.pop()
    if len(cells) != len(form.columns):
        raise InvalidError(f"it has {len(cells)} of {len(form.columns)} columns.")
    row = dict(zip(form.columns, map(str.strip, cells), strict=True))
    if "'" in line:
        return {column: csv_cells.plain(cell) for column, cell in row.items()}
    return row


def _entry(line: int, row: Mapping[str, str]) -> Entry:
    attended = row.get("attended") or "yes"
    state = STATES.get(attended.lower())
    if state is None:
        raise InvalidError(f"attended is “{attended[:20]}”; it must be one of {', '.join(STATES)}.")
    role = row.get("camp_role") or CampRole.VOLUNTEER.value
    camp_role = CAMP_ROLES.get(role.lower())
    if camp_role is None:
        raise InvalidError(f"camp_role is “{role[:20]}”; it must be one of {', '.join(CAMP_ROLES)}.")
    return Entry(
        line=line,
        book_no=_book_no(row["book_no"]),
        name=_name(row["name"]),
        site=_label(row["site"], "site") if row.get("site") else "",
        camp=_label(row["camp"], "camp"),
        camp_date=parse_date(row["camp_date"]),
        camp_role=camp_role,
        state=state,
    )


# The same few numbers, names and dates come again and again.
_book_no = lru_cache(maxsize=65_536)(parse_book_no)
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
