"""Histories from outside: reading a CSV file in the contract's format, and storing what it says.

Reading and storing are apart: :func:`read` looks at the file alone, :func:`store` at the rows and the
database. Nothing is stored unless the whole file is good, or the caller keeps the good rows.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from sqlalchemy import insert, select, update

from webapp import clock
from webapp.database import db, one_at_a_time
from webapp.domain import accounts, badges, camps
from webapp.domain.accounts import Person, Role, clean_name, fold, parse_book_no
from webapp.domain.attendance import (
    Attendance,
    CampRole,
    Marks,
    State,
    calendars_for,
    chunks,
    history,
    marks_of,
    step_of,
)
from webapp.domain.badges import Change, HeldCamp
from webapp.domain.camps import USUAL_START, Camp, Site, Status, clean_label
from webapp.domain.errors import DomainError, InvalidError
from webapp.signals import announce

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

    @property
    def camp_key(self) -> tuple[str, date, str]:
        """What makes a camp: site, date and name."""
        return self.site, self.camp_date, self.camp


@dataclass(frozen=True, slots=True)
class Problem:
    """One bad row: its line in the file (1 is the header) and why it is bad."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


class ImportRefused(DomainError):
    """The file has bad rows, and nothing of it was stored."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(f"{len(problems):,} bad row(s); nothing was stored.")
        self.problems = problems


@dataclass
class Report:
    """What an import did."""

    stored: int = 0
    unchanged: int = 0
    new_people: int = 0
    new_camps: int = 0
    new_badges: int = 0
    revoked_badges: int = 0
    renamed: int = 0
    """Rows whose name differs from the one kept under their book number; that one stays."""
    problems: list[Problem] = field(default_factory=list)


def read(path: Path) -> tuple[list[Entry], list[Problem]]:
    """The good rows of a UTF-8 CSV file, and the bad ones with their reasons.

    Raises :class:`InvalidError` where the file cannot be read as a table at all: not there, not UTF-8,
    no header, a column missing, unknown or named twice.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as source:
            return _parse(csv.reader(_decoded(source), strict=True))
    except OSError as error:
        raise InvalidError(f"{path} cannot be read: {error.strerror}.") from None


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


def _parse(table: "Reader") -> tuple[list[Entry], list[Problem]]:
    try:
        columns = [name.strip() for name in next(table, [])]
    except csv.Error as error:
        raise InvalidError(f"The header cannot be read: {error}.") from None
    _check_header(columns)
    entries: list[Entry] = []
    problems: list[Problem] = []
    while True:
        line = table.line_num + 1
        try:
            cells = next(table)
        except StopIteration:
            return entries, problems
        except csv.Error as error:
            problems.append(Problem(line, f"not readable as CSV: {error}."))
            continue
        if not any(cell.strip() for cell in cells):
            continue
        try:
            entry = _entry(line, columns, cells)
        except InvalidError as error:
            problems.append(Problem(line, str(error)))
        else:
            entries.append(entry)


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
        name=clean_name(row["name"]),
        site=clean_label(row["site"], "site") if row.get("site") else "",
        camp=clean_label(row["camp"], "camp"),
        camp_date=parse_date(row["camp_date"]),
        camp_role=CampRole(camp_role),
        state=STATES[attended],
    )


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


def store(
    entries: Sequence[Entry],
    problems: Sequence[Problem] = (),
    *,
    keep_good: bool = False,
    progress: Callable[[int], object] = lambda _rows: None,
) -> Report:
    """Store the rows and settle the badges, inside the caller's write transaction.

    New sites, camps and people are created. A row that says ``expected`` never undoes a mark; any other
    sets the state, as a correction would. An award is dated to the start of the camp that completed it.
    ``progress`` is told how many rows each step dealt with.

    Raises :class:`ImportRefused` where there are problems, in the file or with the facts, unless
    ``keep_good``; then they are in the report.
    """
    one_at_a_time("settling many people")
    places = _Places(entries)
    report = Report(problems=list(problems))
    good: list[Entry] = []
    first: dict[tuple[int, tuple[str, date, str]], Entry] = {}
    for entry in (places.at_a_site(entry) for entry in entries):
        reason = places.objection(entry)
        if reason is None:
            same = first.setdefault((entry.book_no, entry.camp_key), entry)
            if (same.camp_role, same.state) != (entry.camp_role, entry.state):
                reason = f"it contradicts line {same.line}: the same person at the same camp."
        if reason:
            report.problems.append(Problem(entry.line, reason))
        else:
            good.append(entry)
    report.problems.sort(key=lambda problem: problem.line)
    if report.problems and not keep_good:
        raise ImportRefused(report.problems)

    report.new_camps = places.add_missing(good)
    of_person: dict[int, list[Entry]] = defaultdict(list)
    for entry in good:
        of_person[entry.book_no].append(entry)
    for book_nos in chunks(sorted(of_person)):
        people = _people({book_no: of_person[book_no][0].name for book_no in book_nos}, report)
        rows = {people[book_no].id: of_person[book_no] for book_no in book_nos}
        report.renamed += sum(entry.name != person.name for person in people.values() for entry in rows[person.id])
        _store_chunk(rows, places, report)
        progress(sum(len(of_one) for of_one in rows.values()))
    return report


class _Places:
    """The sites and camps that the rows name, and those the database has of them."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.default = camps.default_site()
        self.sites: dict[str, Site] = {site.name: site for site in camps.sites()}
        dates = {entry.camp_date for entry in entries}
        self.camps: dict[tuple[UUID, date, str], Camp] = {}
        if dates:
            query = select(Camp).where(Camp.camp_date.between(min(dates), max(dates)))
            # Nobody cancels one of them meanwhile.
            for camp in db.session.scalars(query.with_for_update(read=True, of=Camp)):
                self.camps[camp.site_id, camp.camp_date, camp.name] = camp

    def at_a_site(self, entry: Entry) -> Entry:
        """The row with its site said."""
        return entry if entry.site else replace(entry, site=self.default.name)

    def camp(self, entry: Entry) -> Camp | None:
        site = self.sites.get(entry.site)
        return self.camps.get((site.id, entry.camp_date, entry.camp)) if site else None

    def objection(self, entry: Entry) -> str | None:
        """Why the facts do not allow a row, if they do not."""
        site = self.sites.get(entry.site, self.default)
        camp = self.camp(entry)
        if camp and camp.is_cancelled:
            return f"{entry.camp} on {entry.camp_date} was cancelled."
        if entry.state in (State.PRESENT, State.ABSENT) and entry.camp_date > site.today:
            return f"{entry.camp_date} is in the future, so nobody can have been marked."
        return None

    def add_missing(self, entries: Iterable[Entry]) -> int:
        """Create the sites and camps that are not there yet; how many camps that were."""
        before = len(self.camps)
        for entry in entries:
            if entry.site not in self.sites:
                self.sites[entry.site] = camps.add_site(entry.site, self.default.time_zone)
            site = self.sites[entry.site]
            key = (site.id, entry.camp_date, entry.camp)
            if key not in self.camps:
                self.camps[key] = Camp(
                    id=uuid4(),
                    site_id=site.id,
                    site=site,
                    name=entry.camp,
                    camp_date=entry.camp_date,
                    start_time=USUAL_START,
                    status=Status.SCHEDULED,
                )
                db.session.add(self.camps[key])
        db.session.flush()
        return len(self.camps) - before


def _people(names: Mapping[int, str], report: Report) -> dict[int, Person]:
    """The people with these book numbers, new ones created, all of them locked."""
    known = {person.book_no: person for person in db.session.scalars(select(Person).where(Person.book_no.in_(names)))}
    new = [
        Person(
            id=uuid4(),
            book_no=book_no,
            name=name,
            search_name=fold(name),
            role=Role.VOLUNTEER,
            is_active=True,
            session_no=1,
        )
        for book_no, name in names.items()
        if book_no not in known
    ]
    db.session.add_all(new)
    db.session.flush()
    report.new_people += len(new)
    people = known | {person.book_no: person for person in new}
    accounts.lock([person.id for person in people.values()])
    return people


def _store_chunk(rows: Mapping[UUID, Sequence[Entry]], places: _Places, report: Report) -> None:
    """Store what the file says of some people, and settle their badges."""
    before = marks_of(rows)
    after: dict[UUID, Marks] = {person_id: dict(marks) for person_id, marks in before.items()}
    held = _attendance_of(rows)
    camp_of: dict[UUID, Camp] = {}
    added: dict[tuple[UUID, UUID], dict[str, object]] = {}
    changed: list[dict[str, object]] = []
    now = clock.now()
    for person_id, entries in rows.items():
        for entry in entries:
            camp = places.camp(entry)
            assert camp is not None  # "add_missing" made it
            camp_of[camp.id] = camp
            key = (person_id, camp.id)
            found = held.get(key)
            said = (entry.state, entry.camp_role)
            if key in added or (found and (found == said or entry.state is State.EXPECTED)):
                report.unchanged += 1
                continue
            values: dict[str, object] = {
                "person_id": person_id,
                "camp_id": camp.id,
                "camp_role": entry.camp_role,
                "state": entry.state,
                "marked_at": None if entry.state is State.EXPECTED else now,
                "signed_up_as": entry.camp_role,
                "changed_at": now,
            }
            if found:
                changed.append(values | {"reason": None, "marked_by_id": None, "left_at": None, "presumed": False})
                held[key] = said
            else:
                added[key] = values | {"created_at": now}
            report.stored += 1
            if entry.state is not State.EXPECTED and camp.is_held:
                at = HeldCamp(camp.camp_date, camp.start_time, camp.name, camp.id, camp.site_id)
                after[person_id][at] = step_of(entry.state, entry.camp_role)
    if added:
        db.session.execute(insert(Attendance), list(added.values()))
    if changed:
        db.session.execute(update(Attendance), changed)

    calendars = calendars_for(after.values())
    settled = badges.settle(
        [
            Change(person_id, history(after[person_id], calendars), history(before[person_id], calendars))
            for person_id in rows
        ],
        reason="corrected by an import",
        earned_at=lambda camp_id, now: _start(camp_of.get(camp_id), now),
    )
    for person_id, settlement in settled.items():
        report.new_badges += len(settlement.new) + len(settlement.returned)
        report.revoked_badges += len(settlement.revoked)
        announce(person_id)


def _start(camp: Camp | None, now: datetime) -> datetime:
    """When a camp of the past began; never later than now."""
    return min(camp.starts_at, now) if camp else now


def _attendance_of(person_ids: Iterable[UUID]) -> dict[tuple[UUID, UUID], tuple[State, CampRole]]:
    query = select(Attendance.person_id, Attendance.camp_id, Attendance.state, Attendance.camp_role).where(
        Attendance.person_id.in_(list(person_ids))
    )
    return {
        (person_id, camp_id): (state, camp_role) for person_id, camp_id, state, camp_role in db.session.execute(query)
    }
