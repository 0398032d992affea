"""Imports: storing a history from outside, and settling what it changes.

The rows go to tables of their own first, and from there on the database does the work, so that
memory does not grow with the file. Once the people and camps are there, each row is turned into
their ids, which all later steps go by. Nothing is stored unless all rows are good, or the caller
keeps the good ones.

:func:`store` does it all in one transaction. Its steps (:func:`refuse_what_cannot_be`,
:func:`add_places`, :func:`take_in`) are also done one by one by
:mod:`webapp.domain.import_export.import_jobs`, for some people at a time.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

from sqlalchemy import (
    Column,
    Date,
    Select,
    String,
    Table,
    Uuid,
    and_,
    case,
    exists,
    false,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    union,
    update,
)
from sqlalchemy.sql.elements import ColumnElement

from webapp import clock
from webapp.database import (
    Instant,
    analyze,
    clear,
    copy_rows,
    db,
    one_at_a_time,
    rows_changed,
    scratch,
)
from webapp.domain import audit
from webapp.domain.attendance.marking import chunks
from webapp.domain.audit import Action
from webapp.domain.badges import awards, history
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import Camp, Site, Status
from webapp.domain.errors import DomainError
from webapp.domain.evaluation import bulk
from webapp.domain.import_export import staging
from webapp.domain.import_export.history_file import Entry, Problem
from webapp.domain.import_export.staging import named_camp, staged
from webapp.domain.models.attendance import Attendance, CampRole, State, is_marked
from webapp.domain.people.accounts import Person, Role, fold
from webapp.domain.schedule import schedule
from webapp.infra.ids import new_id

named_person = scratch("named_person", Column("person_id", Uuid, primary_key=True))
said = scratch(
    "said",
    Column("person_id", Uuid, primary_key=True),
    Column("site_id", Uuid, primary_key=True),
    Column("camp_date", Date, primary_key=True),
    Column("camp_id", Uuid, primary_key=True),
    Column("camp_role", String),
    Column("state", String),
)

MUCH = 1_000  # rows; from here on it is worth telling the planner of them
MOST_PROBLEMS = 10_000  # told one by one; beyond them only their number


class ImportRefused(DomainError):
    """The file has bad rows, and nothing of it was stored."""

    def __init__(self, problems: Sequence[Problem], number: int) -> None:
        super().__init__(f"{number:,} bad row(s); nothing was stored.")
        self.problems = problems
        self.number = number


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
    bad: int = 0
    problems: list[Problem] = field(default_factory=list)
    """The first :data:`MOST_PROBLEMS` of the bad rows."""

    @property
    def numbers(self) -> dict[str, int]:
        """What it did, in numbers."""
        return {name: value for name, value in vars(self).items() if isinstance(value, int)}

    def refuse(self, problem: Problem) -> None:
        """Note a bad row."""
        self.bad += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)


def store(
    rows: Iterable[Entry | Problem],
    *,
    keep_good: bool = False,
    read: Callable[[int], object] = lambda _rows: None,
    settled: Callable[[int], object] = lambda _people: None,
) -> Report:
    """Store the rows and settle the badges, inside the caller's write transaction.

    New sites, camps and people are created. A row that says ``expected`` never undoes a mark; any
    other sets the state, as a correction would. An award is dated to the start of the camp that
    completed it.
    ``read`` and ``settled`` are told how many more rows were read, and people settled.

    Raises :class:`ImportRefused` where there are problems, in the file or with the facts, unless
    ``keep_good``; then they are in the report.
    """
    one_at_a_time(bulk.WORK)
    report = Report()
    entry_id = new_id()
    staging.stage(rows, refuse=report.refuse, read=read)
    refuse_what_cannot_be(report)
    report.problems.sort(key=lambda problem: problem.line)
    if report.bad and not keep_good:
        raise ImportRefused(report.problems, report.bad)
    new_dates = add_places(report)
    take_in(report, entry_id, new_dates, settled)
    audit.note(Action.IMPORTED, details=report.numbers, entry_id=entry_id)
    return report


def refuse_what_cannot_be(report: Report) -> None:
    """Drop the staged rows that the facts or other rows contradict, and report them."""
    _refuse_by_calendar(report)
    _refuse_contradictions(report)


def refuse_lost(report: Report) -> None:
    """Refuse rows of camps that are not there though they were created: the site or the camp is
    called otherwise now, or the camp is on another date.
    """
    lost = named_camp.c.camp_id.is_(None)
    query = select(staged.c.line, named_camp.c.camp, named_camp.c.camp_date).join(*_its_camp())
    reason = "{} on {} was renamed or moved while the file was being stored."
    found = db.session.execute(query.where(lost).order_by(staged.c.line))
    problems = (Problem(line, reason.format(*camp)) for line, *camp in found)
    _refuse(report, problems, select(staged.c.line).join(*_its_camp()).where(lost))


def take_in(
    report: Report,
    entry_id: UUID,
    new_dates: Mapping[UUID, date],
    settled: Callable[[int], object] = lambda _people: None,
    *,
    known: int = 0,
) -> None:
    """Store the staged rows, whose sites and camps are there, and settle whoever they concern; what
    follows for awards is entered under an entry of the audit trail. ``new_dates`` as
    :func:`add_places` gave them, ``known`` the number of rows that earlier parts of the same import
    stored.
    """
    _add_people(report)
    _lock()
    staged_rows = db.session.scalar(select(func.count()).select_from(staged)) or 0
    total = known + staged_rows
    # Of what this transaction brings the planner knows nothing until it is told, with each doubling
    # of the rows.
    is_much = total > MUCH and total.bit_length() > known.bit_length()
    if is_much:
        analyze(Person.__table__, Site.__table__, Camp.__table__)
    bulk.raise_versions(touched(new_dates))  # before anything is read of them
    _fill_said()
    before = report.stored
    _correct(report, entry_id)
    report.stored += _add_attendance()
    if is_much:
        analyze(Attendance.__table__)
    report.unchanged += staged_rows - (report.stored - before)
    people = touched(new_dates)
    done = bulk.evaluate(people, dated_back=True, entry_id=entry_id, progress=settled)
    report.new_badges += done.new_badges + done.returned_badges


def _its_camp() -> tuple[Table, ColumnElement[bool]]:
    """Return what to join to staged rows for the camp that each names, and by which condition."""
    return named_camp, named_camp.c.line == staged.c.camp_no


def _refuse(report: Report, problems: Iterable[Problem], lines: Select[tuple[int]]) -> None:
    """Report what is wrong with staged rows, and drop these, if any, by their ``lines``."""
    before = report.bad
    for problem in problems:
        report.refuse(problem)
    if report.bad > before:
        staging.drop(lines)


def _refuse_by_calendar(report: Report) -> None:
    """Refuse rows of cancelled camps, marks of camps to come, and camps too far ahead."""
    here = calendar.default_site()
    today = func.coalesce(calendar.today_in_sql(), literal(here.today, Date))
    last = date(here.today.year + schedule.YEARS_AHEAD, 12, 31)
    cancelled = Camp.status == Status.CANCELLED
    is_mark = staged.c.state.in_((State.PRESENT, State.ABSENT))
    future = and_(is_mark, named_camp.c.camp_date > today)
    query = (
        select(staged.c.line, named_camp.c.camp, named_camp.c.camp_date, cancelled)
        .join(*_its_camp())
        .outerjoin(Site, Site.id == named_camp.c.site_id)
        .outerjoin(Camp, Camp.id == named_camp.c.camp_id)
        .where(or_(cancelled, future, named_camp.c.camp_date > last))
    )

    def problems() -> Iterator[Problem]:
        rows = db.session.execute(query.order_by(staged.c.line))
        for line, camp, camp_date, is_cancelled in rows:
            if is_cancelled:
                reason = f"{camp} on {camp_date} was cancelled."
            elif camp_date > last:
                years = f"{schedule.YEARS_AHEAD} years ahead"
                reason = f"{camp_date} is more than {years}; is it a slip of the pen?"
            else:
                reason = f"{camp_date} is in the future, so nobody can have been marked."
            yield Problem(line, reason)

    _refuse(report, problems(), query.with_only_columns(staged.c.line))


def _refuse_contradictions(report: Report) -> None:
    """Refuse rows that say something else of a person at a camp than the first that names both."""
    repeated = (
        select(staged.c.book_no, staged.c.camp_no, func.min(staged.c.line).label("line"))
        .group_by(staged.c.book_no, staged.c.camp_no)
        .having(func.count() > 1)
        .subquery()
    )
    first = staged.alias("first")
    others = or_(staged.c.camp_role != first.c.camp_role, staged.c.state != first.c.state)
    names_both = staged.c.book_no == repeated.c.book_no, staged.c.camp_no == repeated.c.camp_no
    query = (
        select(staged.c.line, first.c.line)
        .join_from(repeated, first, first.c.line == repeated.c.line)
        .join(staged, and_(*names_both))
        .where(others)
        .order_by(staged.c.line)
    )
    reason = "it contradicts line {}: the same person at the same camp."
    found = db.session.execute(query).tuples()
    contradictions = (Problem(line, reason.format(first)) for line, first in found)
    _refuse(report, contradictions, query.with_only_columns(staged.c.line).order_by(None))


def add_places(report: Report) -> dict[UUID, date]:
    """Create the sites and camps that are not there yet. Return for each site whose calendar has
    steps more than before from which date on.
    """
    zone = calendar.default_site().time_zone
    unknown = select(named_camp.c.site).where(named_camp.c.site_id.is_(None)).distinct()
    for name in db.session.scalars(unknown.order_by(named_camp.c.site)).all():
        calendar.add_site(name, zone)
    staging.find_camps()
    missing = select(named_camp).where(staging.is_missing()).subquery()
    on_it = exists().where(
        Camp.site_id == missing.c.site_id,
        Camp.camp_date == missing.c.camp_date,
        Camp.status == Status.SCHEDULED,
    )
    first_date = func.min(missing.c.camp_date)
    new_dates = select(missing.c.site_id, first_date).where(~on_it).group_by(missing.c.site_id)
    first_new = dict(db.session.execute(new_dates).tuples().all())
    for site_id, first in sorted(first_new.items()):
        calendar.hold_from(site_id, first)
    now = clock.now()
    usual = (calendar.USUAL_START, Status.SCHEDULED.value, now)
    columns = ("id", "site_id", "name", "camp_date", "start_time", "status", "created_at")
    new = select(missing.c.site_id, missing.c.camp, missing.c.camp_date).order_by(missing.c.camp_date)
    for some in db.session.execute(new, execution_options={"yield_per": 5_000}).partitions():
        report.new_camps += len(some)
        copy_rows(Camp.__table__, columns, ((new_id(), *camp, *usual) for camp in some))
    staging.find_camps()
    return first_new


def _add_people(report: Report) -> None:
    """Create the people that are not there yet, each with the name that their first row has."""
    is_known = exists().where(Person.book_no == staged.c.book_no)
    firsts = select(func.min(staged.c.line)).where(~is_known).group_by(staged.c.book_no)
    new = select(staged.c.book_no, staged.c.name).where(staged.c.line.in_(firsts))
    now = clock.now()
    columns = (
        "id",
        "book_no",
        "name",
        "search_name",
        "role",
        "is_active",
        "opted_out",
        "session_no",
        "card_no",
        "created_at",
    )
    for some in db.session.execute(new, execution_options={"yield_per": 5_000}).partitions():
        report.new_people += len(some)
        others = Role.VOLUNTEER.value, True, False, 1, 1, now
        people = ((new_id(), book_no, name, fold(name), *others) for book_no, name in some)
        copy_rows(Person.__table__, columns, people)
    report.renamed += staging.number_renamed()


def _lock() -> None:
    """Note the ids of the staged people, and keep everybody else from them and from the camps."""
    clear(named_person)
    named = select(Person.id).where(Person.book_no.in_(select(staged.c.book_no)))
    db.session.execute(insert(named_person).from_select(["person_id"], named))
    analyze(named_person)
    camps_here = select(Camp.id).where(Camp.id.in_(select(named_camp.c.camp_id)))
    people = select(Person.id).where(Person.id.in_(select(named_person.c.person_id)))
    # The camps before the people, as everywhere.
    for locked in (
        camps_here.with_for_update(read=True),
        people.order_by(Person.id).with_for_update(key_share=True),
    ):
        db.session.execute(select(func.count()).select_from(locked.subquery()))


def _fill_said() -> None:
    """Note what the rows say, each person at each camp once, by their ids."""
    clear(said)
    camp = named_camp.c.site_id, named_camp.c.camp_date, named_camp.c.camp_id
    # Repeated rows say the same: others were refused.
    says = func.min(staged.c.camp_role), func.min(staged.c.state)
    rows = (
        select(Person.id, *camp, *says)
        .select_from(staged)
        .join(Person, Person.book_no == staged.c.book_no)
        .join(*_its_camp())
        .group_by(Person.id, *camp)
        .order_by(Person.id, *camp)
    )
    db.session.execute(insert(said).from_select(said.c.keys(), rows))
    analyze(said)


def _is_kept() -> ColumnElement[bool]:
    """Return the SQL condition that something is stored of a person at a camp."""
    return and_(*(column == said.c[column.name] for column in Attendance.__table__.primary_key))


def _correct(report: Report, entry_id: UUID) -> None:
    """Set what the file says differently of people, and take away the badges this costs."""
    is_mark = said.c.state != State.EXPECTED.value
    differs = or_(Attendance.state != said.c.state, Attendance.camp_role != said.c.camp_role)
    changed = select(said).join(Attendance, _is_kept()).where(is_mark, differs)
    people = changed.with_only_columns(said.c.person_id).distinct()
    now = clock.now()
    unmarked = {"reason": None, "marked_by_id": None, "left_at": None, "presumed": False}
    fresh = {"marked_at": now, "changed_at": now, **unmarked}
    for ids in chunks(db.session.scalars(people.order_by(said.c.person_id)).all()):
        before = history.read(ids)
        different = []
        for *key, role, state in db.session.execute(changed.where(said.c.person_id.in_(ids))):
            key_of = dict(zip(said.primary_key.columns.keys(), key, strict=True))
            camp_role = CampRole(role)
            says = {"camp_role": camp_role, "signed_up_as": camp_role, "state": State(state)}
            different.append(key_of | says | fresh)
        db.session.execute(update(Attendance), different)
        report.stored += len(different) + _add_attendance(ids)
        after = history.read(ids)
        changes = {person_id: (before[person_id], after[person_id]) for person_id in ids}
        gone = awards.take_back(changes, reason="corrected by an import")
        audit.follow(entry_id, gone)
        report.revoked_badges += len(gone)


def _add_attendance(person_ids: Collection[UUID] | None = None) -> int:
    """Store the rows of people (or everybody) at camps where nothing is stored of them; return how
    many there were.
    """
    now = literal(clock.now(), Instant)
    marked_at = case((said.c.state == State.EXPECTED.value, null()), else_=now)
    is_stored = exists().where(_is_kept())
    new = select(said, said.c.camp_role, marked_at, false(), now, now).where(~is_stored)
    if person_ids is not None:
        new = new.where(said.c.person_id.in_(person_ids))
    # In the order of the key, which its index takes in half the time.
    new = new.order_by(*said.primary_key.columns)
    columns = [*said.c.keys(), "signed_up_as", "marked_at", "presumed", "created_at", "changed_at"]
    return rows_changed(insert(Attendance).from_select(columns, new))


def touched(new_dates: Mapping[UUID, date]) -> Select[tuple[UUID]]:
    """Return the query for whose badges and standings the import may have changed: whom it names,
    and whose runs at a site go on over dates that its calendar did not have.
    """
    named = select(named_person.c.person_id)
    # Not one condition or the other: PostgreSQL would go through the whole of a large list with
    # each person.
    return select(union(named, gone_over(new_dates)).subquery().c.person_id)


def gone_over(new_dates: Mapping[UUID, date]) -> Select[tuple[UUID]]:
    """Whose runs at a site go on over dates that its calendar did not have."""
    later = [
        and_(Attendance.site_id == site_id, Attendance.camp_date > first, is_marked())
        for site_id, first in new_dates.items()
    ]
    return select(Attendance.person_id).where(or_(false(), *later))
