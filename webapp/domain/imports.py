"""Imports: storing a history from outside, and settling what it changes.

The rows go to a table of their own first, and from there on the database does the work, so that memory
does not grow with the file. Nothing is stored unless all rows are good, or the caller keeps the good ones.

:func:`store` does it all in one transaction. Its steps (:func:`refuse_what_cannot_be`, :func:`add_places`,
:func:`take_in`) are also done one by one by :mod:`webapp.domain.import_jobs`, for some people at a time.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Date,
    Select,
    Subquery,
    and_,
    case,
    delete,
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
from webapp.database import Instant, analyze, copy_rows, db, one_at_a_time, rows_changed
from webapp.domain import audit, badges, calendar, camps, histories, settling, staging
from webapp.domain.accounts import Person, Role, fold
from webapp.domain.attendance import chunks
from webapp.domain.audit import Action
from webapp.domain.badges import Change
from webapp.domain.camps import Camp, Site, Status
from webapp.domain.errors import DomainError
from webapp.domain.history_file import Entry, Problem
from webapp.domain.records import Attendance, CampRole, State, is_marked
from webapp.domain.staging import camp_is_there, same_camp, staged
from webapp.infra.ids import new_id

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

    New sites, camps and people are created. A row that says ``expected`` never undoes a mark; any other
    sets the state, as a correction would. An award is dated to the start of the camp that completed it.
    ``read`` and ``settled`` are told how many more rows were read, and people settled.

    Raises :class:`ImportRefused` where there are problems, in the file or with the facts, unless
    ``keep_good``; then they are in the report.
    """
    one_at_a_time(settling.WORK)
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
    """Take out of the staged rows those that the facts or other rows contradict, and report them."""
    _refuse_by_calendar(report)
    _refuse_contradictions(report)


def refuse_lost(report: Report) -> None:
    """Rows of camps that are not there though they were created: the site or the camp is called otherwise now, or
    the camp is on another date.
    """
    lost = select(staged.c.line, staged.c.camp, staged.c.camp_date).where(~camp_is_there()).order_by(staged.c.line)
    for line, camp, camp_date in db.session.execute(lost):
        report.refuse(Problem(line, f"{camp} on {camp_date} was renamed or moved while the file was being stored."))
    db.session.execute(delete(staged).where(~camp_is_there()))


def take_in(
    report: Report,
    entry_id: UUID,
    new_dates: Mapping[UUID, date],
    settled: Callable[[int], object] = lambda _people: None,
    *,
    known: int = 0,
) -> None:
    """Store the staged rows, whose sites and camps are there, and settle whoever they concern; what follows for
    awards is entered under an entry of the audit trail. ``new_dates`` as :func:`add_places` gave them, ``known``
    the number of rows that earlier parts of the same import stored.
    """
    _add_people(report)
    _hold()
    staged_rows = db.session.scalar(select(func.count()).select_from(staged)) or 0
    total = known + staged_rows
    # Of what this transaction brings the planner knows nothing until it is told, with each doubling of the rows.
    is_much = total > MUCH and total.bit_length() > known.bit_length()
    if is_much:
        analyze(Person.__table__, Site.__table__, Camp.__table__)
    before = report.stored
    _correct(report, entry_id)
    report.stored += _add_attendance()
    if is_much:
        analyze(Attendance.__table__)
    report.unchanged += staged_rows - (report.stored - before)
    done = settling.settle(touched(new_dates), dated_back=True, entry_id=entry_id, progress=settled)
    report.new_badges += done.new_badges + done.returned_badges


def _refuse_by_calendar(report: Report) -> None:
    """Rows of cancelled camps, marks of camps still to come, and camps too far ahead to be meant."""
    here = camps.default_site()
    today = func.coalesce(camps.today_in_sql(), literal(here.today, Date))
    last = date(here.today.year + calendar.YEARS_AHEAD, 12, 31)
    cancelled = Camp.status == Status.CANCELLED
    future = and_(staged.c.state.in_((State.PRESENT, State.ABSENT)), staged.c.camp_date > today)
    query = (
        select(staged.c.line, staged.c.camp, staged.c.camp_date, cancelled)
        .outerjoin(Site, Site.name == staged.c.site)
        .outerjoin(Camp, same_camp())
        .where(or_(cancelled, future, staged.c.camp_date > last))
        .order_by(staged.c.line)
    )
    for line, camp, camp_date, is_cancelled in db.session.execute(query):
        if is_cancelled:
            reason = f"{camp} on {camp_date} was cancelled."
        elif camp_date > last:
            reason = f"{camp_date} is more than {calendar.YEARS_AHEAD} years ahead; is it a slip of the pen?"
        else:
            reason = f"{camp_date} is in the future, so nobody can have been marked."
        report.refuse(Problem(line, reason))
    db.session.execute(delete(staged).where(staged.c.line.in_(query.with_only_columns(staged.c.line).order_by(None))))


def _refuse_contradictions(report: Report) -> None:
    """Rows that say something else of a person at a camp than the first that names both."""
    of_camp = (staged.c.book_no, staged.c.site, staged.c.camp_date, staged.c.camp)
    firsts = select(
        staged,
        *(
            func.first_value(staged.c[name]).over(partition_by=of_camp, order_by=staged.c.line).label(f"first_{name}")
            for name in ("line", "camp_role", "state")
        ),
    ).subquery()
    others = or_(firsts.c.camp_role != firsts.c.first_camp_role, firsts.c.state != firsts.c.first_state)
    for line, first in db.session.execute(
        select(firsts.c.line, firsts.c.first_line).where(others).order_by(firsts.c.line)
    ):
        report.refuse(Problem(line, f"it contradicts line {first}: the same person at the same camp."))
    db.session.execute(delete(staged).where(staged.c.line.in_(select(firsts.c.line).where(others))))


def add_places(report: Report) -> dict[UUID, date]:
    """Create the sites and camps that are not there yet. For each site whose calendar has steps more than
    before: from which date on.
    """
    zone = camps.default_site().time_zone
    unknown = select(staged.c.site).where(~exists().where(Site.name == staged.c.site)).distinct()
    for name in db.session.scalars(unknown.order_by(staged.c.site)).all():
        camps.add_site(name, zone)
    missing = (
        select(Site.id, staged.c.camp, staged.c.camp_date)
        .join(Site, Site.name == staged.c.site)
        .where(~exists().where(same_camp()))
        .distinct()
        .subquery()
    )
    on_it = exists().where(
        Camp.site_id == missing.c.id, Camp.camp_date == missing.c.camp_date, Camp.status == Status.SCHEDULED
    )
    new_dates = select(missing.c.id, func.min(missing.c.camp_date)).where(~on_it).group_by(missing.c.id)
    first_new = dict(db.session.execute(new_dates).tuples().all())
    for site_id, first in sorted(first_new.items()):
        camps.hold_from(site_id, first)
    now = clock.now()
    usual = (camps.USUAL_START, Status.SCHEDULED.value, now)
    columns = ("id", "site_id", "name", "camp_date", "start_time", "status", "created_at")
    new = select(missing.c.id, missing.c.camp, missing.c.camp_date).order_by(missing.c.camp_date)
    for some in db.session.execute(new, execution_options={"yield_per": 5_000}).partitions():
        report.new_camps += len(some)
        copy_rows(Camp.__table__, columns, ((new_id(), *camp, *usual) for camp in some))
    return first_new


def _add_people(report: Report) -> None:
    """Create the people that are not there yet, each with the name that their first row has."""
    place = func.row_number().over(partition_by=staged.c.book_no, order_by=staged.c.line)
    named = select(staged.c.book_no, staged.c.name, place.label("place"))
    unknown = named.where(~exists().where(Person.book_no == staged.c.book_no)).subquery()
    new = select(unknown.c.book_no, unknown.c.name).where(unknown.c.place == 1)
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
        people = (
            (new_id(), book_no, name, fold(name), Role.VOLUNTEER.value, True, False, 1, 1, now)
            for book_no, name in some
        )
        copy_rows(Person.__table__, columns, people)
    report.renamed += staging.number_renamed()


def _hold() -> None:
    """Keep everybody else from these people and camps."""
    people = select(Person.id).where(Person.book_no.in_(select(staged.c.book_no))).order_by(Person.id)
    named = exists().where(staged.c.site == Site.name, same_camp())
    named_camps = select(Camp.id).join(Site, Site.id == Camp.site_id).where(named)
    # The camps before the people, as everywhere.
    for held in (named_camps.with_for_update(read=True, of=Camp), people.with_for_update(key_share=True)):
        db.session.execute(select(func.count()).select_from(held.subquery()))


def _said() -> Subquery:
    """What the rows say, each person at each camp once."""
    of_camp = (staged.c.book_no, staged.c.site, staged.c.camp_date, staged.c.camp)
    place = func.row_number().over(partition_by=of_camp, order_by=staged.c.line).label("place")
    rows = select(staged, place).subquery()
    return (
        select(
            Person.id.label("person_id"),
            Camp.site_id,
            Camp.camp_date,
            Camp.id.label("camp_id"),
            rows.c.camp_role,
            rows.c.state,
        )
        .select_from(rows)
        .join(Person, Person.book_no == rows.c.book_no)
        .join(Site, Site.name == rows.c.site)
        .join(Camp, and_(Camp.site_id == Site.id, Camp.camp_date == rows.c.camp_date, Camp.name == rows.c.camp))
        .where(rows.c.place == 1)
        .subquery()
    )


def _kept(said: Subquery) -> ColumnElement[bool]:
    return and_(*(column == said.c[column.name] for column in Attendance.__table__.primary_key))


def _correct(report: Report, entry_id: UUID) -> None:
    """Set what the file says differently of people at camps, and take away the badges that this costs."""
    said = _said()
    differs = or_(Attendance.state != said.c.state, Attendance.camp_role != said.c.camp_role)
    changed = (
        select(said)
        .join(Attendance, _kept(said))
        .where(said.c.state != State.EXPECTED.value, differs)
        .order_by(said.c.person_id)
    )
    rows: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
    for row in db.session.execute(changed).mappings():
        rows[row["person_id"]].append({**row, "state": State(row["state"]), "camp_role": CampRole(row["camp_role"])})
    now = clock.now()
    unmarked = {"reason": None, "marked_by_id": None, "left_at": None, "presumed": False}
    fresh = {"marked_at": now, "changed_at": now, **unmarked}
    for ids in chunks(list(rows)):
        before = histories.histories_of(ids)
        different = [row | {"signed_up_as": row["camp_role"]} | fresh for person_id in ids for row in rows[person_id]]
        db.session.execute(update(Attendance), different)
        report.stored += len(different) + _add_attendance(ids)
        after = histories.histories_of(ids)
        changes = [Change(person_id, after[person_id], before[person_id]) for person_id in ids]
        gone = badges.take_back(changes, reason="corrected by an import")
        audit.follow(entry_id, gone)
        report.revoked_badges += len(gone)


def _add_attendance(person_ids: Collection[UUID] | None = None) -> int:
    """Store the rows of people (or everybody) at camps where nothing is stored of them; how many there were."""
    said = _said()
    now = literal(clock.now(), Instant)
    marked_at = case((said.c.state == State.EXPECTED.value, null()), else_=now)
    new = select(*said.c, said.c.camp_role, marked_at, false(), now, now).where(~exists().where(_kept(said)))
    if person_ids is not None:
        new = new.where(said.c.person_id.in_(person_ids))
    columns = [*said.c.keys(), "signed_up_as", "marked_at", "presumed", "created_at", "changed_at"]
    return rows_changed(insert(Attendance).from_select(columns, new))


def touched(new_dates: Mapping[UUID, date]) -> Select[tuple[UUID]]:
    """Whose badges and standings the import may have changed: whom it names, and whose runs at a site go on
    over dates that its calendar did not have.
    """
    named = select(Person.id).where(Person.book_no.in_(select(staged.c.book_no)))
    # Not one condition or the other: PostgreSQL would go through the whole of a large list with each person.
    return select(union(named, gone_over(new_dates)).subquery().c.id)


def gone_over(new_dates: Mapping[UUID, date]) -> Select[tuple[UUID]]:
    """Whose runs at a site go on over dates that its calendar did not have."""
    later = [
        and_(Attendance.site_id == site_id, Attendance.camp_date > first, is_marked())
        for site_id, first in new_dates.items()
    ]
    return select(Attendance.person_id).where(or_(false(), *later))
