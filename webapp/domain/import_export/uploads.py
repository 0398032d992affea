"""Uploads: files of history that wait in the database, row by row, to be looked at and then imported.

A file is looked at while it arrives, so that one that cannot be a history is refused before it is whole. It
is kept in parts, since the worker that reads it may be on another host, and read a batch of rows at a time.
"""

import zlib
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

from sqlalchemy import Delete, ForeignKey, Index, String, delete, exists, func, insert, or_, select
from sqlalchemy.orm import Mapped, mapped_column

from webapp import clock
from webapp.database import Model, copy_rows, db, rows_changed
from webapp.domain import jobs
from webapp.domain.camps.calendar import LONGEST_LABEL
from webapp.domain.errors import InvalidError
from webapp.domain.import_export import history_file
from webapp.domain.import_export.history_file import Entry, Form, Place, Problem, Reader
from webapp.domain.jobs import Job, Kind, Status, Upload
from webapp.domain.people.accounts import LONGEST_NAME, Person

MOST_BYTES = 200 * 1024 * 1024  # some three million rows
PART = 1024 * 1024  # bytes of a part, before it is compressed
PARTS_TOGETHER = 8  # in one transaction
LONGEST_HEADER = 10_000  # bytes
LONGEST_REASON = 300  # characters
KEPT_FOR = timedelta(days=7)
SLICE = 20_000  # rows deleted in one transaction


class UploadRow(Model):
    """A good row of an uploaded file."""

    __tablename__ = "upload_row"
    __table_args__ = (Index(None, "job_id", "book_no"),)

    job_id: Mapped[UUID] = mapped_column(ForeignKey("job.id"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    book_no: Mapped[int]
    name: Mapped[str] = mapped_column(String(LONGEST_NAME))
    site: Mapped[str] = mapped_column(String(LONGEST_LABEL))
    camp: Mapped[str] = mapped_column(String(LONGEST_LABEL))
    camp_date: Mapped[date]
    camp_role: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16))


class UploadProblem(Model):
    """A bad row of an uploaded file, and why it is bad."""

    __tablename__ = "upload_problem"

    job_id: Mapped[UUID] = mapped_column(ForeignKey("job.id"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    reason: Mapped[str] = mapped_column(String(LONGEST_REASON))


class FileRefused(InvalidError):
    """What arrives cannot be a history, so the rest of it need not be read."""


class Sieve:
    """Looks at a file while it arrives, a piece at a time."""

    def __init__(self) -> None:
        self.size = 0
        self.lines = 0
        self._start = b""
        self._has_header = False
        self._decoder = getincrementaldecoder("utf-8")()

    def look(self, piece: bytes) -> None:
        """Raises :class:`FileRefused` as soon as it is clear that the file is no history: it is too large, no
        UTF-8 text, or its first line names the wrong columns.
        """
        self.size += len(piece)
        if self.size > MOST_BYTES:
            raise FileRefused(too_large())
        try:
            if not self._has_header:
                self._look_at_start(piece)
            self._decode(piece)
        except InvalidError as error:
            raise FileRefused(str(error)) from None

    def finish(self) -> None:
        """The file is whole. Raises :class:`FileRefused` where it ends too early to be a history."""
        try:
            if not self._has_header:
                Reader([self._start])
            self._decode(b"", is_last=True)
        except InvalidError as error:
            raise FileRefused(str(error)) from None

    def _look_at_start(self, piece: bytes) -> None:
        self._start += piece
        history_file.must_be_text(self._start)
        header, ended, _ = self._start.partition(b"\n")
        if ended or len(header) > LONGEST_HEADER:
            if b"\0" in header:
                raise _not_even_text()
            Reader([header[:LONGEST_HEADER]])
            self._has_header, self._start = True, b""

    def _decode(self, piece: bytes, *, is_last: bool = False) -> None:
        if b"\0" in piece:
            raise _not_even_text()
        try:
            self._decoder.decode(piece, is_last)
        except UnicodeDecodeError as error:
            raise history_file.not_text(self.lines + 1 + error.object[: error.start].count(b"\n")) from None
        self.lines += piece.count(b"\n")


def too_large() -> str:
    """What is said of a file that is."""
    return (
        f"This file is too large: at most {MOST_BYTES // 1024 // 1024} MB fit. Divide it, and send one part at a time."
    )


def _not_even_text() -> InvalidError:
    return InvalidError(f"This is no text, so it is not a CSV file. {history_file.SAVE_AS}")


# --- receiving -----------------------------------------------------------------------------------


def begin(*, by: Person, lines: int) -> Job:
    """A job that waits for the parts of its file; ``lines`` is about how many it has."""
    job = jobs.add(Kind.IMPORT_CHECK, by=by, total=max(0, lines - 1))
    job.status = Status.RECEIVING
    db.session.flush()
    return job


def add_parts(job_id: UUID, first: int, parts: Sequence[bytes]) -> None:
    """Keep some parts, each of :data:`PART` bytes but the last of all; ``first`` is the first one's number."""
    rows = [
        {"job_id": job_id, "part": number, "content": zlib.compress(part, 1)}
        for number, part in enumerate(parts, start=first)
    ]
    db.session.execute(insert(Upload), rows)


def complete(job_id: UUID) -> None:
    """All parts are there: the file can be checked."""
    job = db.session.get_one(Job, job_id)
    job.status = Status.QUEUED
    db.session.flush()


# --- reading -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Read:
    """What reading a batch of rows came to."""

    form: Form
    place: Place
    """Where the next row begins."""
    rows: int
    bad: int
    is_end: bool


def read(job_id: UUID, form: Form | None, place: Place, most: int) -> Read:
    """Read the next rows of a file, ``most`` at the most, and keep the good ones and what is wrong with the bad.

    Raises :class:`InvalidError` where the file cannot be read on.
    """
    reader = Reader(_bytes_from(job_id, place.at), form, place)
    good: list[Entry] = []
    bad: list[Problem] = []
    is_end = True
    for row in reader:
        if isinstance(row, Problem):
            bad.append(row)
        else:
            good.append(row)
        if len(good) + len(bad) >= most:
            is_end = False
            break
    _keep(job_id, good)
    refuse(job_id, bad)
    return Read(reader.form, reader.place, len(good) + len(bad), len(bad), is_end)


def _bytes_from(job_id: UUID, at: int) -> Iterator[bytes]:
    number, skipped = divmod(at, PART)
    while content := db.session.scalar(select(Upload.content).where(Upload.job_id == job_id, Upload.part == number)):
        yield zlib.decompress(content)[skipped:]
        number, skipped = number + 1, 0


def _keep(job_id: UUID, rows: Iterable[Entry]) -> None:
    values = (
        (job_id, row.line, row.book_no, row.name, row.site, row.camp, row.camp_date, row.camp_role, row.state)
        for row in rows
    )
    columns = ("job_id", "line", "book_no", "name", "site", "camp", "camp_date", "camp_role", "state")
    copy_rows(UploadRow.__table__, columns, values)


def refuse(job_id: UUID, problems: Iterable[Problem]) -> None:
    """Keep why rows are bad."""
    values = ((job_id, problem.line, problem.reason[:LONGEST_REASON]) for problem in problems)
    copy_rows(UploadProblem.__table__, ("job_id", "line", "reason"), values)


# --- what is kept --------------------------------------------------------------------------------


def last_of_batch(job_id: UUID, after: int, most: int) -> int | None:
    """The last book number of a batch of whole people that begins after a book number, of about ``most`` rows;
    nothing where nobody comes after it.
    """
    rows = select(UploadRow.book_no).where(UploadRow.job_id == job_id, UploadRow.book_no > after)
    in_order = rows.order_by(UploadRow.book_no)
    first = db.session.scalar(in_order.limit(1))
    if first is None:
        return None
    beyond = db.session.scalar(in_order.offset(most).limit(1))
    if beyond is None:
        return db.session.scalar(rows.with_only_columns(func.max(UploadRow.book_no)))
    return max(first, beyond - 1)


def problems(job_id: UUID, most: int) -> Sequence[Problem]:
    """The first problems of a file, by line."""
    return [*every_problem(job_id, most)]


def every_problem(job_id: UUID, most: int | None = None) -> Iterator[Problem]:
    """All problems of a file, by line, read as they are needed."""
    query = (
        select(UploadProblem.line, UploadProblem.reason)
        .where(UploadProblem.job_id == job_id)
        .order_by(UploadProblem.line)
        .limit(most)
    )
    for line, reason in db.session.execute(query.execution_options(yield_per=1_000)):
        yield Problem(line, reason)


def number_of_problems(job_id: UUID) -> int:
    """How many rows of a file are bad."""
    query = select(func.count()).select_from(UploadProblem).where(UploadProblem.job_id == job_id)
    return db.session.scalar(query) or 0


# --- deleting ------------------------------------------------------------------------------------


def clear_some(job_id: UUID) -> bool:
    """Delete some of what was uploaded, parts and rows; whether there is more. The problems stay."""
    rows = select(UploadRow.line).where(UploadRow.job_id == job_id).order_by(UploadRow.line)
    last = db.session.scalar(rows.offset(SLICE).limit(1))
    some = delete(UploadRow).where(UploadRow.job_id == job_id)
    rows_changed(some if last is None else some.where(UploadRow.line < last))
    parts = rows_changed(_some_parts(job_id))
    return last is not None or parts == PARTS_TOGETHER


def _some_parts(job_id: UUID) -> Delete:
    numbers = select(Upload.part).where(Upload.job_id == job_id).order_by(Upload.part).limit(PARTS_TOGETHER)
    return delete(Upload).where(Upload.job_id == job_id, Upload.part.in_(numbers))


def expired() -> UUID | None:
    """A file that has been kept for longer than :data:`KEPT_FOR`, if there is one."""
    kept = or_(*(exists().where(column == Job.id) for column in (Upload.job_id, UploadRow.job_id)))
    query = select(Job.id).where(
        Job.kind == Kind.IMPORT_CHECK, Job.created_at < clock.now() - KEPT_FOR, Job.status.not_in(jobs.OPEN), kept
    )
    return db.session.scalar(query.limit(1))
