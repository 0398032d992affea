"""The leaderboard: standings of the active volunteers, read only."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Select, func, select

from webapp.database import db
from webapp.domain.accounts import Person, Role
from webapp.domain.attendance import CHUNK, Attendance, histories_of, is_visit
from webapp.domain.badges import Award, Badge
from webapp.domain.camps import Camp


@dataclass(frozen=True, slots=True)
class Standing:
    """One line. Equal visits share a rank (1, 2, 2, 4)."""

    rank: int
    person: Person
    visits: int
    longest_streak: int
    current_streak: int
    badges: Sequence[Badge]


def ranked() -> Select[tuple[Person, int, int]]:
    """Every active volunteer with visits and rank, by rank, then name."""
    visits = (
        select(Attendance.person_id, func.count().label("visits"))
        .join(Camp, Camp.id == Attendance.camp_id)
        .where(is_visit())
        .group_by(Attendance.person_id)
        .subquery()
    )
    number = func.coalesce(visits.c.visits, 0)
    rank = func.rank().over(order_by=number.desc())
    return (
        select(Person, number.label("visits"), rank.label("rank"))
        .outerjoin(visits, visits.c.person_id == Person.id)
        .where(Person.role == Role.VOLUNTEER, Person.is_active)
        .order_by(number.desc(), Person.search_name, Person.book_no)
    )


def size() -> int:
    """How many people the leaderboard has."""
    query = select(func.count()).where(Person.role == Role.VOLUNTEER, Person.is_active)
    return db.session.scalar(query) or 0


def standings(offset: int, limit: int) -> list[Standing]:
    """The lines from ``offset`` on, at most ``limit``; the number of queries does not depend on it."""
    rows = db.session.execute(ranked().offset(offset).limit(limit)).all()
    ids = [person.id for person, _, _ in rows]
    histories = histories_of(ids)
    badges = _badges_of(ids)
    return [
        Standing(
            rank,
            person,
            visits,
            histories[person.id].longest_streak,
            histories[person.id].current_streak,
            badges[person.id],
        )
        for person, visits, rank in rows
    ]


def all_standings() -> Iterator[Standing]:
    """The whole leaderboard, read in slices."""
    for offset in range(0, size(), CHUNK):
        yield from standings(offset, CHUNK)


def _badges_of(person_ids: Sequence[UUID]) -> dict[UUID, list[Badge]]:
    held: dict[UUID, list[Badge]] = defaultdict(list)
    query = (
        select(Award.person_id, Badge)
        .join(Badge, Badge.id == Award.badge_id)
        .where(Award.person_id.in_(person_ids), Award.revoked_at.is_(None))
        .order_by(Badge.criteria_value, Badge.position)
    )
    for person_id, badge in db.session.execute(query):
        held[person_id].append(badge)
    return held
