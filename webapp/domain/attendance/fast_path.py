"""The fast path of a mark: read, decide, write. What a table does all day goes this way.

*One* question reads all that a decision needs; the decision knows no database; *one* statement writes
attendance, totals, awards and audit entry, and commits by itself. So it stands outside of the session's
transaction, the one place in the domain that commits. It knows one thing: somebody is present as a volunteer
at a camp after all others they came to. For anything else, and whenever it is not sure, :func:`mark`
answers nothing, has changed nothing, and the general path (:mod:`webapp.domain.attendance.marking`)
takes over. docs/development/marking.md draws it.

Two guards keep a decision from being written on facts that have changed since the question:

- the *versions of the person's totals*, which whoever changes their marks or awards raises, and whoever
  evaluates a badge that asks for something else now;
- the *calendar version of the site*, which whoever changes its calendar raises.

Whoever has no totals at the site yet is locked before the statement begins; it then holds the
versions of the badges against those of the question.

Their rows are locked in this order: site, camp, person, totals (by site). On SQLite the write lock is taken
before the question, so nothing can come in between.

The driver is spoken to directly: through SQLAlchemy Core these two statements took 1.67 ms of
processor time a mark, so 0.98 ms (November 2026, Python 3.11, PostgreSQL 18).
"""

import json
import logging
import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, cached_property
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm.attributes import set_committed_value

from webapp import clock
from webapp.database import db, direct_connection, is_sqlite
from webapp.domain import audit
from webapp.domain.attendance.marking import Outcome, stands_as
from webapp.domain.audit import Action, Effect
from webapp.domain.badges.awards import AwardChanges
from webapp.domain.badges.criteria import CRITERIA, MarkContext
from webapp.domain.badges.streaks import after
from webapp.domain.camps.calendar import Camp, Site, Status
from webapp.domain.models.attendance import Attendance, CampRole, State, Step
from webapp.domain.models.badge import Badge
from webapp.domain.people.accounts import Person, Role
from webapp.domain.people.credentials import Asker

log = logging.getLogger(__name__)

MARKERS = (Role.COORDINATOR, Role.ADMIN)


class Earnable(NamedTuple):
    """A badge as the question has it: what it asks for, and what is stored of the person."""

    badge_id: UUID
    criteria_type: str
    criteria_value: int
    position: int
    version: int
    is_given: bool
    is_revoked: bool


class KeptTotals(NamedTuple):
    """The totals of one site as the question has them."""

    site_id: UUID
    visits: int
    longest_streak: int
    streak: int
    last_visit: date | None
    visits_in_year: int
    version: int


class Stored(NamedTuple):
    """What is stored of the person at the camp. As the driver gives it: SQLite has texts for instants."""

    state: str
    camp_role: str
    reason: str | None
    signed_up_as: str | None
    declined_at: Any
    presumed: Any
    marked_at: Any
    marked_by_id: Any
    left_at: Any
    created_at: Any
    changed_at: Any

    @property
    def is_visit(self) -> bool:
        """Whether they are present as a volunteer."""
        return self.state == State.PRESENT and self.camp_role == CampRole.VOLUNTEER


class AtCamp(NamedTuple):
    """The camp and its site."""

    camp_id: UUID
    site_id: UUID
    name: str
    camp_date: date
    start_time: time
    status: str
    site_name: str
    time_zone: str
    calendar_version: int

    @property
    def today(self) -> date:
        """The date it is at the site now."""
        return clock.today(self.time_zone)


@dataclass(frozen=True)
class Facts:
    """What the question gives: all that a decision needs."""

    asker: tuple[str, bool, int]
    """Account role, whether the account is on, number of the present sessions."""
    person_values: Sequence[Any]
    """As :data:`_PERSON` names them."""
    at: AtCamp
    stored: Stored | None
    totals: Sequence[KeptTotals]
    badges: Sequence[Earnable]
    missed: bool
    """Whether the calendar has a date between the last visit and the camp that breaks a streak."""
    is_unknown: bool
    """Whether there are none at the camp's site, and somewhere they have marks and no totals."""

    @property
    def person_id(self) -> UUID:
        """Whose mark it is."""
        return _uuid(self.person_values[0])

    # Objects of the models cost more than all the rest, so they are made for whoever needs them.

    @cached_property
    def person(self) -> Person:
        """The person; belongs to no session."""
        values = dict(zip(_PERSON, self.person_values, strict=True))
        booleans = {name: bool(values[name]) for name in ("is_active", "opted_out")}
        own = {"id": self.person_id, "role": Role(values["role"])}
        return Person(**values | booleans | own)

    @cached_property
    def camp(self) -> Camp:
        """The camp, with its site; belongs to no session."""
        at = self.at
        camp = Camp(
            id=at.camp_id,
            site_id=at.site_id,
            name=at.name,
            camp_date=at.camp_date,
            start_time=at.start_time,
            status=Status(at.status),
        )
        site = Site(id=at.site_id, name=at.site_name, time_zone=at.time_zone)
        set_committed_value(camp, "site", site)
        return camp

    @cached_property
    def attendance(self) -> Attendance | None:
        """What is stored, as an object that belongs to no session."""
        stored = self.stored
        if stored is None:
            return None
        signed_up_as, marked_by_id = stored.signed_up_as, stored.marked_by_id
        instants = ("declined_at", "marked_at", "left_at", "created_at", "changed_at")
        return Attendance(
            person_id=self.person_id,
            site_id=self.at.site_id,
            camp_date=self.at.camp_date,
            camp_id=self.at.camp_id,
            state=State(stored.state),
            camp_role=CampRole(stored.camp_role),
            reason=stored.reason,
            signed_up_as=CampRole(signed_up_as) if signed_up_as else None,
            presumed=bool(stored.presumed),
            marked_by_id=_uuid(marked_by_id) if marked_by_id else None,
            **{name: _instant(getattr(stored, name)) for name in instants},
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be written."""

    totals: KeptTotals
    """Those of the camp's site as they will be; the version is the one that is kept now."""
    versions: int
    """The sum of the versions of all totals of the person."""
    is_first: bool
    """Whether it is their first mark at the site, so that there are no totals there."""
    due: Sequence[Earnable]


@dataclass(frozen=True)
class FastMark:
    """A mark that was made, or stood already: enough to answer without another question."""

    facts: Facts
    by_id: UUID
    badges: AwardChanges
    made_at: datetime | None
    """When it was made; ``None`` where it stood already."""

    @property
    def marked_at(self) -> datetime | None:
        """When they were marked, in UTC."""
        return self.made_at or (_instant(self.facts.stored.marked_at) if self.facts.stored else None)

    @property
    def left_at(self) -> datetime | None:
        """When they left, in UTC, where that is recorded."""
        return _instant(self.facts.stored.left_at) if self.facts.stored else None

    @property
    def outcome(self) -> Outcome:
        """The same as the verbs of the general path say it; its objects belong to no session."""
        attendance = self.facts.attendance
        if self.made_at is None:
            return Outcome(attendance)
        attendance = attendance or Attendance.at(self.facts.camp, self.facts.person)
        attendance.state, attendance.camp_role = State.PRESENT, CampRole.VOLUNTEER
        attendance.reason, attendance.presumed = None, False
        attendance.marked_at = attendance.changed_at = self.made_at
        attendance.marked_by_id = self.by_id
        return Outcome(attendance, self.badges)


# --- decide --------------------------------------------------------------------------------------


def decide(facts: Facts) -> Decision | None:
    """Decide about one more visit, the person's latest. Nothing where only the general path can tell."""
    day, site_id = facts.at.camp_date, facts.at.site_id
    kept = next((totals for totals in facts.totals if totals.site_id == site_id), None)
    here = kept or KeptTotals(site_id, 0, 0, 0, None, 0, 0)
    is_late = any(totals.last_visit and totals.last_visit >= day for totals in facts.totals)
    if facts.is_unknown or is_late:
        return None

    streak = after(here.streak, Step.VISIT, gap=facts.missed)
    this_year = [
        totals.visits_in_year for totals in facts.totals if totals.last_visit and totals.last_visit.year == day.year
    ]
    context = MarkContext(
        visits=sum(totals.visits for totals in facts.totals),
        longest_streak=max((totals.longest_streak for totals in facts.totals), default=0),
        streak=streak,
        visits_in_year=sum(this_year),
    )
    due = _due(facts.badges, context)
    if due is None:
        return None

    is_this_year = here.last_visit is not None and here.last_visit.year == day.year
    totals = KeptTotals(
        site_id,
        here.visits + 1,
        max(here.longest_streak, streak),
        streak,
        day,
        1 + (here.visits_in_year if is_this_year else 0),
        here.version,
    )
    versions = sum(totals.version for totals in facts.totals)
    return Decision(totals, versions, kept is None, due)


def _due(badges: Sequence[Earnable], context: MarkContext) -> Sequence[Earnable] | None:
    """Find the badges that the visit completes. Nothing where only the whole history can tell: one was
    reached before and not given, or is given and would be reached again, or was revoked.
    """
    due = []
    for badge in badges:
        criterion = CRITERIA[badge.criteria_type]
        before, now = criterion.reach(context)
        if badge.is_revoked:
            return None
        if badge.criteria_value > now:
            continue
        is_reached_now = badge.criteria_value > before
        if is_reached_now and (badge.is_given or not criterion.is_certain):
            return None
        if not is_reached_now and not badge.is_given:
            return None
        if is_reached_now:
            due.append(badge)
    return sorted(due, key=lambda badge: (badge.criteria_value, badge.position))


# --- read, decide, write -------------------------------------------------------------------------


def mark(
    person_id: UUID,
    camp_id: UUID | None,
    asker: Asker,
    *,
    camp_role: CampRole | None = None,
    agrees: Callable[[Person, Attendance | None], bool] | None = None,
    operation: Mapping[str, Any] | None = None,
) -> FastMark | None:
    """Mark somebody present at a camp, or without ``camp_id`` at the only camp of today.

    ``agrees`` is asked, with the person and what is stored of them there, whether the mark still is what
    was meant.
    ``operation`` is a row of the operations of phones that is stored with the mark. Returns nothing where
    the general path has to take over; then nothing was changed.
    """
    if db.session.registry.has():
        db.session.commit()  # what was read so far holds no connection while another one writes
    try:
        with direct_connection() as connection:
            if is_sqlite():
                return _on_sqlite(connection, person_id, camp_id, asker, camp_role, agrees, operation)
            with connection.cursor() as cursor:
                facts = _ask(cursor, person_id, camp_id, asker)
                return _carry_out(cursor, facts, asker, camp_role, agrees, operation)
    except (psycopg.Error, sqlite3.Error, SQLAlchemyError) as error:
        # The general path meets the same trouble, and says so; or somebody else was quicker.
        log.info("a mark goes the general path: %s", error)
        return None


def _on_sqlite(connection: Any, person_id: UUID, camp_id: UUID | None, *rest: Any) -> FastMark | None:
    cursor = connection.cursor()
    cursor.execute("BEGIN IMMEDIATE")
    try:
        asker = rest[0]
        made = _carry_out(cursor, _ask(cursor, person_id, camp_id, asker), *rest)
        cursor.execute("COMMIT")
    except BaseException:
        cursor.execute("ROLLBACK")
        raise
    return made


def _carry_out(
    cursor: Any,
    facts: Facts | None,
    asker: Asker,
    camp_role: CampRole | None,
    agrees: Callable[[Person, Attendance | None], bool] | None,
    operation: Mapping[str, Any] | None,
) -> FastMark | None:
    if facts is None or not _may(facts, asker):
        return None
    if agrees and not agrees(facts.person, facts.attendance):
        return None
    stored = facts.stored
    role = camp_role or (stored.camp_role if stored else CampRole.VOLUNTEER)
    if role != CampRole.VOLUNTEER:
        return None
    if stored and stored.is_visit:
        if operation or stored.reason or stored.presumed:
            return None
        return FastMark(facts, asker.person_id, AwardChanges(), None)
    decision = decide(facts)
    if decision is None:
        return None
    now = clock.now()
    new = _write(cursor, facts, decision, asker, camp_role, operation, now)
    if new is None:
        return None
    return FastMark(facts, asker.person_id, AwardChanges(new=new, at=now), now)


def _may(facts: Facts, asker: Asker) -> bool:
    """Say whether the asker may mark, and the person may be marked at this camp."""
    role, is_on, session_no = facts.asker
    may_ask = role in MARKERS and is_on and session_no == asker.session_no
    is_active = facts.person_values[_PERSON.index("is_active")]
    is_held = facts.at.status == Status.SCHEDULED and facts.at.camp_date <= facts.at.today
    return bool(may_ask and is_active and is_held)


# --- the question --------------------------------------------------------------------------------


def _ask(cursor: Any, person_id: UUID, camp_id: UUID | None, asker: Asker) -> Facts | None:
    values: dict[str, Any] = {"person": person_id, "asker": asker.person_id}
    if camp_id:
        values["camp"] = camp_id
    else:
        today = clock.now().date()
        values |= {"first": today - timedelta(days=1), "last": today + timedelta(days=1)}
    if is_sqlite():
        values = {name: _plain(value) for name, value in values.items()}
    cursor.execute(_question(is_sqlite(), camp_id is not None), values)
    facts = [_facts(row) for row in cursor.fetchall()]
    if camp_id is None:
        is_all = len(facts) < FEW
        facts = [each for each in facts if is_all and each.at.camp_date == each.at.today]
    return facts[0] if len(facts) == 1 else None


FEW = 20  # camps around today; where there are more, the general path looks through them

_PERSON = ("id", "book_no", "name", "search_name", "role", "is_active", "card_no", "opted_out")
_CAMP = ("id", "site_id", "name", "camp_date", "start_time", "status")


@cache
def _question(sqlite: bool, by_id: bool) -> str:
    """Build the one question; with ``by_id`` about one camp, else about all that may be today's."""
    array = "json_array" if sqlite else "json_build_array"
    aggregate = "json_group_array" if sqlite else "json_agg"
    around = "camp.status = 'scheduled' AND camp.camp_date BETWEEN {first} AND {last}"
    sql = f"""
        SELECT asker.role, asker.is_active, asker.session_no,
            {", ".join(f"person.{name}" for name in _PERSON)},
            {", ".join(f"camp.{name}" for name in _CAMP)},
            site.name, site.time_zone, site.calendar_version,
            {", ".join(f"attendance.{name}" for name in Stored._fields)},
            (SELECT {aggregate}({array}(totals.site_id, totals.visits, totals.longest_streak,
                    totals.streak, totals.last_visit, totals.visits_in_year, totals.version))
                FROM totals WHERE totals.person_id = person.id),
            (SELECT {aggregate}({array}(badge.id, badge.criteria_type, badge.criteria_value,
                    badge.position, badge.version, award.badge_id IS NOT NULL,
                    award.revoked_at IS NOT NULL))
                FROM badge LEFT JOIN award
                    ON award.person_id = person.id AND award.badge_id = badge.id
                WHERE badge.is_active OR award.revoked_at IS NOT NULL),
            EXISTS (SELECT 1 FROM camp AS missed
                WHERE missed.site_id = camp.site_id AND missed.status = 'scheduled'
                    AND missed.camp_date > here.last_visit AND missed.camp_date < camp.camp_date
                    AND NOT EXISTS (SELECT 1 FROM attendance AS skipping
                        JOIN camp AS skipped ON skipped.id = skipping.camp_id
                        WHERE skipping.person_id = person.id
                            AND skipping.site_id = missed.site_id
                            AND skipping.camp_date = missed.camp_date
                            AND skipping.state IN ('present', 'excused')
                            AND skipped.status = 'scheduled')),
            here.person_id IS NULL AND EXISTS (SELECT 1 FROM attendance AS marked
                WHERE marked.person_id = person.id AND marked.state <> 'expected'
                    AND NOT EXISTS (SELECT 1 FROM totals AS known
                        WHERE known.person_id = person.id AND known.site_id = marked.site_id))
        FROM person
        JOIN camp ON {"camp.id = {camp}" if by_id else around}
        JOIN site ON site.id = camp.site_id
        JOIN person AS asker ON asker.id = {{asker}}
        LEFT JOIN totals AS here ON here.person_id = person.id AND here.site_id = camp.site_id
        LEFT JOIN attendance ON attendance.person_id = person.id
            AND attendance.site_id = camp.site_id AND attendance.camp_date = camp.camp_date
            AND attendance.camp_id = camp.id
        WHERE person.id = {{person}} LIMIT {FEW}
    """
    return _with_parameters(sql, sqlite)


def _facts(row: Sequence[Any]) -> Facts:
    """Make facts of a row of the question."""
    role, is_on, session_no = row[:3]
    at = 3 + len(_PERSON)
    person = row[3:at]
    camp_id, site_id, name, camp_date, start_time, *rest = row[at : at + len(AtCamp._fields)]
    at += len(AtCamp._fields)
    stored = row[at : at + len(Stored._fields)]
    totals, badges, missed, is_unknown = row[at + len(Stored._fields) :]
    camp = _uuid(camp_id), _uuid(site_id), name, _date(camp_date), _time(start_time), *rest
    return Facts(
        (role, bool(is_on), session_no),
        person,
        AtCamp._make(camp),
        Stored._make(stored) if stored[0] is not None else None,
        [KeptTotals._make((_uuid(each[0]), *each[1:4], _date(each[4]), *each[5:])) for each in _parsed(totals)],
        [Earnable._make((_uuid(each[0]), *each[1:])) for each in _parsed(badges)],
        bool(missed),
        bool(is_unknown),
    )


# --- the statement -------------------------------------------------------------------------------


def _write(
    cursor: Any,
    facts: Facts,
    decision: Decision,
    asker: Asker,
    camp_role: CampRole | None,
    operation: Mapping[str, Any] | None,
    now: datetime,
) -> list[Badge] | None:
    """Write a decision; the badges it gave, or nothing where somebody was quicker."""
    stored, totals, person_id = facts.stored, decision.totals, facts.person_id
    before = stands_as(stored.state, stored.camp_role) if stored else None
    details = {"camp_role": camp_role, "before": before}
    entry = audit.entry(
        Action.PRESENT,
        details,
        by_id=asker.person_id,
        person_id=person_id,
        camp_id=facts.at.camp_id,
    )
    values = {
        "person": person_id,
        "site": facts.at.site_id,
        "day": facts.at.camp_date,
        "camp": facts.at.camp_id,
        "by": asker.person_id,
        "now": now,
        "calendar": facts.at.calendar_version,
        "versions": decision.versions,
        "stored_at": stored.changed_at if stored else None,
        "visits": totals.visits,
        "longest": totals.longest_streak,
        "streak": totals.streak,
        "in_year": totals.visits_in_year,
        **{f"entry_{name}": value for name, value in entry.items()},
        **{f"operation_{name}": value for name, value in (operation or {}).items()},
        "effect": Effect.NEW.value,
    }
    due = decision.due
    if not is_sqlite():
        values["badges"] = [badge.badge_id for badge in due]
        values["badge_versions"] = [badge.version for badge in due]
        statement = _statement(decision.is_first, bool(due), tuple(operation or ()))
        if decision.is_first:
            values["known_badges"] = [badge.badge_id for badge in facts.badges]
            values["known_versions"] = [badge.version for badge in facts.badges]
            rows = _after_locking(cursor.connection, statement, values)
        else:
            rows = cursor.execute(statement, values).fetchall()
        return _badges(due, rows) if rows else None

    values = {name: _plain(value) for name, value in values.items()}
    cursor.execute(_sqlite("attendance"), values)
    cursor.execute(_sqlite("first totals" if decision.is_first else "totals"), values)
    cursor.execute(_insert("entry", tuple(entry)), values)
    for badge in due:
        of_badge = values | {"badge": badge.badge_id.hex, "badge_version": badge.version}
        cursor.execute(_sqlite("award"), of_badge)
        cursor.execute(_sqlite("entry_award"), of_badge)
    if operation:
        cursor.execute(_insert("operation", tuple(operation)), values)
    rows = cursor.execute(f"SELECT {_BADGE} FROM badge").fetchall() if due else []
    return _badges(due, rows)


def _after_locking(connection: Any, statement: str, values: Mapping[str, Any]) -> Sequence[Any]:
    """Lock the person, then write: whoever has no totals at the site has none that tell of another change
    while a statement waits, and a statement sees only what was committed before it began. One round trip.
    """
    with connection.cursor() as cursor:
        with connection.pipeline(), connection.transaction():
            connection.execute(_locking(), values)
            cursor.execute(statement, values)
        return cursor.fetchall()  # type: ignore[no-any-return]


@cache
def _locking() -> str:
    return _with_parameters(f"WITH {_GUARD} {_LOCKED_PERSON}", sqlite=False)


_BADGE = "badge.id, badge.name, description, shape, metal, ribbon, emblem"


def _badges(due: Sequence[Earnable], rows: Sequence[Sequence[Any]]) -> list[Badge]:
    """Make the badges just earned, for the answer; they belong to no session."""
    if not due:
        return []
    names = ("name", "description", "shape", "metal", "ribbon", "emblem")
    badges = {
        _uuid(badge_id): Badge(id=_uuid(badge_id), **dict(zip(names, values, strict=True)))
        for badge_id, *values in rows
    }
    return [badges[badge.badge_id] for badge in due]


_MARK = """
    INSERT INTO attendance (person_id, site_id, camp_date, camp_id, camp_role, state, presumed,
        marked_at, marked_by_id, created_at, changed_at)
    {source}
    ON CONFLICT (person_id, site_id, camp_date, camp_id) DO UPDATE SET
        camp_role = 'volunteer', state = 'present', reason = NULL, presumed = {false},
        marked_at = {{now}}, marked_by_id = {{by}}, changed_at = {{now}}
        WHERE attendance.changed_at = {{stored_at}}
"""
_MARKED = """{person}, {site}, {day}, {camp}, 'volunteer', 'present', {false}, {now}, {by}, {now}, {now}"""
_TOTALS = """
    UPDATE totals SET visits = {visits}, longest_streak = {longest}, streak = {streak},
        last_visit = {day}, visits_in_year = {in_year}, version = version + 1
"""
_FIRST_TOTALS = """
    INSERT INTO totals (person_id, site_id, visits, longest_streak, streak, last_visit,
        visits_in_year, version)
"""
# Where there are no totals to lock, the person is, as the general path does it.
_LOCKED_PERSON = """
    SELECT 1 FROM person WHERE id = {person} AND EXISTS (SELECT 1 FROM guard) FOR NO KEY UPDATE
"""
# A backfill tells by the versions of totals that it came by; of these there are none.
_SAME_BADGES = """NOT EXISTS (
    SELECT id, version FROM badge WHERE is_active
    EXCEPT SELECT * FROM unnest(%(known_badges)s::uuid[], %(known_versions)s::int[]))"""
# A mark at another site that was decided before knows nothing of the new totals.
_RAISED_ELSEWHERE = """
    UPDATE totals SET version = version + 1 FROM mark WHERE person_id = {person} AND site_id <> {site}
"""
_GUARD = """guard AS MATERIALIZED (
    SELECT 1 FROM site JOIN camp ON camp.site_id = site.id
    WHERE camp.id = {camp} AND site.id = {site} AND site.calendar_version = {calendar}
    FOR SHARE OF site FOR KEY SHARE OF camp)"""
_FIRST = "{person}, {site}, {visits}, {longest}, {streak}, {day}, {in_year}, 1"


@cache
def _statement(is_first: bool, with_badges: bool, operation: Sequence[str]) -> str:
    """Build the one statement of PostgreSQL: each part is carried out only where the one before gave a
    row. It answers with the badges that were given, or with one row; with none where nothing was written.
    """
    marked = _MARKED.replace("{false}", "false")
    mark = _MARK.format(source=f"SELECT {marked} FROM agreed", false="false")
    entry = ", ".join(f"{{entry_{name}}}" for name in audit.COLUMNS)
    kept = f"{_TOTALS} FROM mark WHERE person_id = {{person}} AND site_id = {{site}}"
    if is_first:
        kept = f"{_FIRST_TOTALS} SELECT {_FIRST} FROM mark"
    parts = [
        _GUARD,
        f"known AS MATERIALIZED ({_LOCKED_PERSON if is_first else 'SELECT 1 FROM guard'})",
        """locked AS MATERIALIZED (
            SELECT version FROM totals
            WHERE person_id = {person} AND EXISTS (SELECT 1 FROM known)
            ORDER BY site_id FOR UPDATE)""",
        """agreed AS MATERIALIZED (
            SELECT 1 FROM known, (SELECT coalesce(sum(version), 0) AS versions FROM locked) AS summed
            WHERE versions = {versions}"""
        + (f" AND {_SAME_BADGES})" if is_first else ")"),
        f"mark AS ({mark} RETURNING 1)",
        f"kept AS ({kept})",
        f"entered AS (INSERT INTO entry ({', '.join(audit.COLUMNS)}) SELECT {entry} FROM mark)",
    ]
    if is_first:
        parts.append(f"raised AS ({_RAISED_ELSEWHERE})")
    if with_badges:
        due = "mark CROSS JOIN unnest(%(badges)s::uuid[], %(badge_versions)s::int[]) AS due (id, version)"
        parts.append(
            "given AS (INSERT INTO award (person_id, badge_id, camp_id, earned_at, version, found_later)"
            f" SELECT {{person}}, due.id, {{camp}}, {{now}}, due.version, false FROM {due})"
        )
        parts.append(
            "followed AS (INSERT INTO entry_award (entry_id, person_id, badge_id, effect)"
            f" SELECT {{entry_id}}, {{person}}, due.id, {{effect}} FROM {due})"
        )
    if operation:
        given = ", ".join(f"{{operation_{name}}}" for name in operation)
        columns = ", ".join(f'"{name}"' for name in operation)
        parts.append(f"sent AS (INSERT INTO operation ({columns}) SELECT {given} FROM mark)")
    answer = f"SELECT {_BADGE} FROM mark JOIN badge ON badge.id = ANY(%(badges)s::uuid[])"
    answer = answer if with_badges else "SELECT 1 FROM mark"
    return _with_parameters(f"WITH {', '.join(parts)} {answer}", sqlite=False)


@cache
def _sqlite(part: str) -> str:
    """Build one of the statements of SQLite."""
    marked = _MARKED.replace("{false}", "0")
    mark = _MARK.format(source=f"VALUES ({marked})", false="0")
    statements = {
        "attendance": mark,
        "totals": f"{_TOTALS} WHERE person_id = {{person}} AND site_id = {{site}}",
        "first totals": f"{_FIRST_TOTALS} VALUES ({_FIRST})",
        "award": (
            "INSERT INTO award (person_id, badge_id, camp_id, earned_at, version, found_later)"
            " VALUES ({person}, {badge}, {camp}, {now}, {badge_version}, 0)"
        ),
        "entry_award": (
            "INSERT INTO entry_award (entry_id, person_id, badge_id, effect)"
            " VALUES ({entry_id}, {person}, {badge}, {effect})"
        ),
    }
    return _with_parameters(statements[part], sqlite=True)


@cache
def _insert(table: str, names: Sequence[str]) -> str:
    columns = ", ".join(f'"{name}"' for name in names)
    given = ", ".join(f"{{{table}_{name}}}" for name in names)
    sql = f"INSERT INTO {table} ({columns}) VALUES ({given})"
    return _with_parameters(sql, sqlite=True)


# --- what the two drivers take and give ----------------------------------------------------------


def _with_parameters(sql: str, sqlite: bool) -> str:
    """Name the parameters as the driver does. Casts tell PostgreSQL the types that it cannot see."""
    return re.sub(r"\{(\w+)\}", r":\1" if sqlite else _postgresql, " ".join(sql.split()))


_TYPES = {
    "uuid": "person site camp by asker badge entry_id entry_by_id entry_person_id entry_camp_id"
    " entry_badge_id entry_job_id operation_id operation_by_id operation_camp_id",
    "date": "day first last",
    "timestamptz": "now stored_at entry_at operation_made_at operation_received_at",
    "int": "calendar versions visits longest streak in_year",
    "json": "operation_order",
}
_TYPE_OF = {name: kind for kind, names in _TYPES.items() for name in names.split()}


def _postgresql(found: "re.Match[str]") -> str:
    return f"%({found[1]})s::{_TYPE_OF.get(found[1], 'text')}"


def _plain(value: Any) -> Any:
    """Give a value as SQLite's driver takes it, which knows neither UUIDs nor dates."""
    if isinstance(value, UUID):
        return value.hex
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    return value.isoformat() if isinstance(value, date) else value


def _uuid(value: Any) -> UUID:
    return value if isinstance(value, UUID) else UUID(value)


def _date(value: Any) -> Any:
    return date.fromisoformat(value) if isinstance(value, str) else value


def _time(value: Any) -> time:
    return time.fromisoformat(value) if isinstance(value, str) else value


def _instant(value: Any) -> datetime | None:
    if isinstance(value, str):
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    return value.astimezone(UTC) if value else None


def _parsed(values: Any) -> Sequence[Any]:
    return json.loads(values) if isinstance(values, str) else values or ()
