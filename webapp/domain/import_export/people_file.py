"""Files of people: read and looked at before anything is stored, then stored by a job, some rows at a time.

Somebody whose book number is known already stays as they are, name and account role too: a file is how new
people come in, not how those who are here are changed.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy import select

from webapp.database import db
from webapp.domain import audit, jobs
from webapp.domain.audit import Action
from webapp.domain.errors import ConflictError, InvalidError
from webapp.domain.import_export.history_file import Lines, Place, Problem, form_of, must_be_text, parsed
from webapp.domain.jobs import Job, Kind, Upload
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Person, Role, clean_name, parse_book_no

T = TypeVar("T")

LARGEST_FILE = 1_000_000  # bytes: some 40,000 people
REQUIRED = ("book_no", "name")
OPTIONAL = ("role", "active")
ACTIVE = {"yes": True, "no": False, "": None}
TOGETHER = 200  # people in one transaction


@dataclass(frozen=True, slots=True)
class Row:
    """One good row: somebody as the file has them. ``role`` and ``is_active`` are nothing where it does not say."""

    line: int
    book_no: int
    name: str
    role: Role | None
    is_active: bool | None


@dataclass(frozen=True, slots=True)
class Known:
    """A row whose book number is somebody's already."""

    row: Row
    person: Person

    @property
    def differs(self) -> bool:
        """Whether the file says something else of them than what is kept, and stays."""
        row, person = self.row, self.person
        return (
            row.name != person.name
            or row.role not in (None, person.role)
            or row.is_active not in (None, person.is_active)
        )


@dataclass
class Preview:
    """What a file would do."""

    new: list[Row] = field(default_factory=list)
    known: list[Known] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def preview(content: bytes) -> Preview:
    """What a CSV file of people would do; nothing is stored.

    Columns ``book_no``, ``name`` and, where they are given, ``role`` and ``active``, in any order; UTF-8 with or
    without a byte order mark; between the cells commas, semicolons or tabs. Raises :class:`InvalidError` where the file
    is larger than :data:`LARGEST_FILE` or cannot be read as such a table at all.
    """
    found = Preview()
    rows = []
    first_lines: dict[int, int] = {}
    for row in _rows(content):
        if isinstance(row, Problem):
            found.problems.append(row)
        elif row.book_no in first_lines:
            reason = f"book number {row.book_no} is on line {first_lines[row.book_no]} already."
            found.problems.append(Problem(row.line, reason))
        else:
            first_lines[row.book_no] = row.line
            rows.append(row)
    people = _people({row.book_no for row in rows})
    for row in rows:
        if row.book_no in people:
            found.known.append(Known(row, people[row.book_no]))
        else:
            found.new.append(row)
    return found


def begin(found: Preview, *, by: Person, title: str, keep_good: bool = False) -> Job:
    """A job that adds the new people of a file; to be told to the queue once the transaction is committed.

    Raises :class:`ConflictError` where there is nobody new, or there are problems and it was not asked to
    ``keep_good`` rows all the same.
    """
    if found.problems and not keep_good:
        raise ConflictError(f"The file has {len(found.problems):,} bad row(s). Nothing was stored.")
    if not found.new:
        raise ConflictError("Everybody in this file is here already. Nothing was changed.")
    job = jobs.add(Kind.PEOPLE_IMPORT, by=by, total=len(found.new), params={"title": title})
    job.tell(new_people=0, unchanged=len(found.known), bad=len(found.problems))
    for part, some in enumerate(_slices(found.new, TOGETHER)):
        people = [(row.book_no, row.name, row.role, row.is_active is not False) for row in some]
        db.session.add(Upload(job_id=job.id, part=part, content=json.dumps(people, ensure_ascii=False).encode()))
    db.session.flush()
    return job


def store(job: Job) -> bool:
    """Add the next people of a job's file; whether there are more. A part that is stored is not kept.

    Raises :class:`InvalidError` where the file has gone.
    """
    part = int(job.cursor or 0)
    upload = db.session.get(Upload, (job.id, part))
    if upload is None:
        raise InvalidError("The file is not here any more. Choose it again; who was added stays.")
    rows = json.loads(upload.content)
    people = [(book_no, name, Role(role or Role.VOLUNTEER), is_active) for book_no, name, role, is_active in rows]
    new = accounts.add_people(people)  # others may have been added meanwhile
    db.session.delete(upload)
    job.add(new_people=new, unchanged=len(people) - new)
    job.done += len(people)
    job.cursor = str(part + 1)
    if job.total is not None and job.done < job.total:
        return True
    audit.note(Action.PEOPLE_IMPORTED, details=job.found)
    return False


def _people(book_nos: Collection[int]) -> dict[int, Person]:
    """Those of these book numbers that are somebody's."""
    found: dict[int, Person] = {}
    for some in _slices(sorted(book_nos), 1_000):
        people = db.session.scalars(select(Person).where(Person.book_no.in_(some)))
        found |= {person.book_no: person for person in people}
    return found


def _slices(of: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (of[start : start + size] for start in range(0, len(of), size))


def _rows(content: bytes) -> Iterator[Row | Problem]:
    if len(content) > LARGEST_FILE:
        raise InvalidError(f"The file has {len(content):,} bytes; at most {LARGEST_FILE:,} fit. Cut it into several.")
    must_be_text(content)
    lines = iter(Lines([content], Place()))
    form = form_of(next(lines, ""), REQUIRED, OPTIONAL)
    return parsed(enumerate(lines, start=2), form, _row)


def _row(line: int, row: Mapping[str, str]) -> Row:
    role = row.get("role", "").lower()
    if role and role not in list(Role):
        raise InvalidError(f"role is “{role[:20]}”; it must be one of {', '.join(Role)}, or empty.")
    active = row.get("active", "").lower()
    if active not in ACTIVE:
        raise InvalidError(f"active is “{active[:20]}”; it must be yes or no, or empty.")
    who = parse_book_no(row["book_no"]), clean_name(row["name"])
    return Row(line, *who, Role(role) if role else None, ACTIVE[active])
