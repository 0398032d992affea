"""People: who they are, what they may do, and how they are found."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from anyascii import anyascii
from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Select,
    String,
    Uuid,
    and_,
    bindparam,
    case,
    cast,
    func,
    or_,
    select,
    true,
)
from sqlalchemy.orm import InstrumentedAttribute, Mapped, aliased, mapped_column
from sqlalchemy.sql.elements import ColumnElement

from webapp import clock
from webapp.database import Instant, Model, choice, db, first_time, insert_rows, one_at_a_time
from webapp.domain import audit
from webapp.domain.audit import Action
from webapp.domain.errors import ConflictError, InvalidError
from webapp.infra.ids import new_id

LONGEST_NAME = 120
LARGEST_BOOK_NO = 2_147_483_647  # what an integer column holds on PostgreSQL


class Role(StrEnum):
    """The account role: what a person may do in the app."""

    VOLUNTEER = "volunteer"
    COORDINATOR = "coordinator"
    ADMIN = "admin"


class Person(Model):
    """Someone known to the organisation by a book number."""

    __tablename__ = "person"
    __table_args__ = (CheckConstraint("book_no > 0", name="book_no_positive"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    book_no: Mapped[int] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(String(LONGEST_NAME))
    search_name: Mapped[str] = mapped_column(String(4 * LONGEST_NAME), index=True)
    role: Mapped[Role] = mapped_column(choice(Role, "role"))
    is_active: Mapped[bool] = mapped_column(default=True)
    password_hash: Mapped[str | None] = mapped_column(String(200))
    # Goes up when the password changes or the account is switched off; sessions and tokens carry it.
    session_no: Mapped[int] = mapped_column(default=1)
    card_no: Mapped[int] = mapped_column(default=1)
    # They asked not to be on any leaderboard. Badges and cabinet stay.
    opted_out: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(Instant, default=clock.now)
    # They asked to be forgotten: the name is gone, what they did is counted still.
    anonymised_at: Mapped[datetime | None] = mapped_column(Instant)

    def __repr__(self) -> str:
        return f"<Person {self.book_no}>"

    @property
    def is_anonymised(self) -> bool:
        """Whether they were forgotten as they wished. That is for good."""
        return self.anonymised_at is not None

    @property
    def is_listed(self) -> bool:
        """Whether leaderboards show them: active volunteers who have not opted out. Every list, rank, count
        and export of a leaderboard goes by this.
        """
        return self.role is Role.VOLUNTEER and self.is_active and not self.opted_out


class FormerName(Model):
    """A name that somebody went by until they were renamed. It may stand in what others wrote, where only who
    knows it can find it; nobody but themselves is shown it.
    """

    __tablename__ = "former_name"

    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(LONGEST_NAME), primary_key=True)


def listed() -> ColumnElement[bool]:
    """:attr:`Person.is_listed` as an SQL condition."""
    return and_(Person.role == Role.VOLUNTEER, Person.is_active, ~Person.opted_out)


def fold(text: str) -> str:
    """What a name is searched by: Latin letters without accents, lower case, single spaces.

    ``Ángel  Müller`` becomes ``angel muller``; other scripts are transliterated, and a query folded the
    same way finds them however it was typed. Cut to what the column holds.
    """
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(anyascii(printable).casefold().split())[: 4 * LONGEST_NAME]


def clean_name(text: str) -> str:
    """A person's name with single spaces.

    Raises :class:`InvalidError` where nothing is left, it is too long, or it holds control characters.
    """
    name = " ".join(text.split())
    if not name:
        raise InvalidError("A name is needed.")
    if len(name) > LONGEST_NAME:
        raise InvalidError(f"This name has {len(name):,} characters; at most {LONGEST_NAME} fit.")
    if not name.isprintable():
        raise InvalidError("This name holds characters that cannot be shown.")
    return name


def parse_book_no(text: str) -> int:
    """A book number typed by a person or read from a file.

    Raises :class:`InvalidError` unless it is a whole number from 1 to 2,147,483,647 in plain digits.
    """
    digits = text.strip()
    if not re.fullmatch(r"[0-9]{1,10}", digits) or not 1 <= int(digits) <= LARGEST_BOOK_NO:
        shown = digits if len(digits) <= 20 else digits[:20] + "…"
        raise InvalidError(f"“{shown}” is not a book number: it is a whole number such as 42.")
    return int(digits)


def add_person(
    name: str, *, book_no: int | None = None, role: Role = Role.VOLUNTEER, person_id: UUID | None = None
) -> Person:
    """Add someone without a password; without ``book_no`` they get the next free one, without
    ``person_id`` a new id.

    Raises :class:`InvalidError` for a bad name or number, :class:`ConflictError` for a book number in use.
    """
    name = clean_name(name)
    one_at_a_time("giving out book numbers")  # also those that were chosen: two may choose the same
    if book_no is None:
        book_no = _free_book_no()
    if not 1 <= book_no <= LARGEST_BOOK_NO:
        raise InvalidError(f"{book_no} cannot be a book number: they go from 1 to {LARGEST_BOOK_NO:,}.")
    if by_book_no(book_no):
        raise ConflictError(f"Book number {book_no} belongs to somebody already.")
    person = _new(book_no, name, role)
    person.id = person_id or person.id
    db.session.add(person)
    db.session.flush()
    _enter([person])
    return person


def _free_book_no() -> int:
    """The number after the highest; where a slip of the pen has taken the very last ones, the first that is free."""
    highest = db.session.scalar(select(func.max(Person.book_no))) or 0
    if highest < LARGEST_BOOK_NO:
        return highest + 1
    following = aliased(Person)
    taken = select(following.id).where(following.book_no == Person.book_no + 1)
    gap = select(func.min(Person.book_no) + 1).where(Person.book_no < LARGEST_BOOK_NO, ~taken.exists())
    return db.session.scalar(gap) or 1


def add_people(people: Sequence[tuple[int, str, Role, bool]]) -> int:
    """Add those of some people, each a book number, a good name, a role and whether the account is on, whose
    number is nobody's yet; how many that were.
    """
    one_at_a_time("giving out book numbers")
    taken = set(db.session.scalars(select(Person.book_no).where(Person.book_no.in_([each[0] for each in people]))))
    added = [_new(*each) for each in people if each[0] not in taken]
    columns = Person.__table__.c.keys()
    insert_rows(Person.__table__, [{name: getattr(person, name) for name in columns} for person in added])
    _enter(added)
    audit.note_each(Action.DEACTIVATED, {person.id: {} for person in added if not person.is_active})
    return len(added)


def _new(book_no: int, name: str, role: Role, is_active: bool = True) -> Person:
    return Person(
        id=new_id(),
        book_no=book_no,
        name=name,
        search_name=fold(name),
        role=role,
        is_active=is_active,
        opted_out=False,
        session_no=1,
        card_no=1,
        created_at=clock.now(),
    )


def _enter(people: Sequence[Person]) -> None:
    """What belongs to new people besides their row."""
    details = {person.id: {"book_no": person.book_no, "role": person.role} for person in people}
    audit.note_each(Action.PERSON_ADDED, details)


def is_nobody_here() -> bool:
    """Whether there is not a single person yet: a new installation."""
    return db.session.scalar(select(Person.id).limit(1)) is None


def by_book_no(book_no: int) -> Person | None:
    """The person with this book number."""
    if not 1 <= book_no <= LARGEST_BOOK_NO:
        return None
    return db.session.scalar(select(Person).where(Person.book_no == book_no))


def by_id(person_id: UUID) -> Person | None:
    """The person with this id."""
    return db.session.get(Person, person_id)


def read_again(person_id: UUID) -> Person | None:
    """The person with this id, as they are now."""
    return db.session.scalar(_BY_ID, {"id": person_id})


_BY_ID = select(Person).where(Person.id == bindparam("id", type_=Uuid))


def lock(person_ids: Sequence[UUID]) -> None:
    """Hold these people until the transaction ends, so that their history and awards are settled one
    mark at a time, and read them afresh: they may have opted out, or been switched off, meanwhile. Always in
    the order of the ids, so that two holders cannot wait for each other. On SQLite the write transaction
    holds everything already.
    """
    if len(person_ids) == 1:
        hold(person_ids[0])
        return
    wanted = [person_id for person_id in person_ids if first_time(("person", person_id))]
    if wanted:
        query = select(Person).where(Person.id.in_(wanted)).order_by(Person.id).with_for_update(key_share=True)
        db.session.execute(query.execution_options(populate_existing=True)).all()


def hold(person_id: UUID) -> Person | None:
    """The person with this id, as they are now, held as by :func:`lock`."""
    if first_time(("person", person_id)):
        return db.session.scalar(_HOLD_ONE, {"id": person_id})
    return by_id(person_id)


_HOLD_ONE = (
    select(Person)
    .where(Person.id == bindparam("id", type_=Uuid))
    .with_for_update(key_share=True)
    .execution_options(populate_existing=True)
)


def end_sessions(person: Person) -> None:
    """No session or token that was given out so far is good any longer. Their open pages hear of it."""
    person.session_no = Person.session_no + 1  # counted by the database, so that none of two changes is lost
    db.session.flush()
    db.session.refresh(person, ["session_no"])


def deactivate(person: Person) -> None:
    """Switch an account off: sessions, tokens and links end, the history stays, leaderboards forget them.

    Raises :class:`ConflictError` for the last active admin.
    """
    one_at_a_time(_ADMINS)
    person = hold(person.id) or person  # whoever opts out at the same moment is not overlooked
    if not person.is_active:
        return
    _leave_an_admin(person)
    person.is_active = False
    end_sessions(person)
    audit.note(Action.DEACTIVATED, person_id=person.id)


def reactivate(person: Person) -> None:
    """Switch an account on again: everything is as it was, but for sessions and links.

    Raises :class:`ConflictError` where somebody is anonymised.
    """
    person = hold(person.id) or person
    must_be_known(person)
    if person.is_active:
        return
    person.is_active = True
    db.session.flush()
    audit.note(Action.REACTIVATED, person_id=person.id)


def rename(person: Person, name: str) -> None:
    """Give somebody the name they go by.

    Raises :class:`InvalidError` for a bad name, :class:`ConflictError` where somebody is anonymised.
    """
    name = clean_name(name)
    person = hold(person.id) or person
    must_be_known(person)
    if person.name == name:
        return
    db.session.merge(FormerName(person_id=person.id, name=person.name))
    call(person, name)
    audit.note(Action.PERSON_CHANGED, person_id=person.id, details={"changed": ["name"]})


def former_names(person: Person) -> list[str]:
    """The names somebody went by before this one."""
    names = select(FormerName.name).where(FormerName.person_id == person.id, FormerName.name != person.name)
    return list(db.session.scalars(names.order_by(FormerName.name)))


def call(person: Person, name: str) -> None:
    """Store a name, and whatever is made of it. The person is held."""
    person.name, person.search_name = name, fold(name)
    db.session.flush()


def change_role(person: Person, role: Role) -> None:
    """Let somebody do what another account role may. Who may do less from now on has to sign in again.

    Raises :class:`ConflictError` for the last active admin, and where somebody is anonymised.
    """
    one_at_a_time(_ADMINS)
    person = hold(person.id) or person
    must_be_known(person)
    if person.role is role:
        return
    _leave_an_admin(person)
    before, person.role = person.role, role
    db.session.flush()
    ranks = list(Role)
    if ranks.index(role) < ranks.index(before):
        end_sessions(person)  # open pages may show what is not for them any more
    audit.note(Action.ROLE_CHANGED, person_id=person.id, details={"before": before, "role": role})


_ADMINS = "deciding who is an admin"


def _leave_an_admin(person: Person) -> None:
    """Somebody is about to be no active admin any more. Whoever decides that at the same moment comes before
    or after, so that two who take the role from each other do not both succeed.
    """
    if person.role is not Role.ADMIN or not person.is_active:
        return
    others = select(Person.id).where(Person.role == Role.ADMIN, Person.is_active, Person.id != person.id)
    if db.session.scalar(others.limit(1)) is None:
        raise ConflictError(
            f"{person.name} is the only admin whose account is on. Make somebody else an admin first. "
            "Nothing was changed."
        )


def must_be_known(person: Person) -> None:
    """Raises :class:`ConflictError` where somebody is anonymised, which nothing takes back."""
    if person.is_anonymised:
        raise ConflictError("This person was anonymised, which is for good. Nothing was changed.")


def opt_out(person: Person, out: bool = True) -> None:
    """Take somebody off every leaderboard as they wish, or with ``out`` false put them back."""
    hold(person.id)  # whoever is switched off at the same moment is not brought back
    if person.opted_out == out:
        return
    person.opted_out = out
    db.session.flush()
    audit.note(Action.OPTED_OUT if out else Action.OPTED_IN, person_id=person.id)


@dataclass(frozen=True, slots=True)
class Search:
    """A search for people as SQL: which of them, and in what order."""

    condition: ColumnElement[bool]
    order: Sequence[ColumnElement[object] | InstrumentedAttribute[object]]


def search(query: str) -> Search:
    """People whose name holds every word of ``query``, or whose book number begins with it.

    By name; after a number by book number, the very one first. An empty query finds everybody.
    """
    words = fold(query).split()
    named = and_(true(), *(Person.search_name.contains(word, autoescape=True) for word in words))
    by_name = (Person.search_name, Person.book_no)
    if len(words) == 1 and words[0].isdecimal() and len(words[0]) <= 10:
        numbered = cast(Person.book_no, String).startswith(words[0])
        exact = case((Person.book_no == min(int(words[0]), LARGEST_BOOK_NO), 0), else_=1)
        return Search(or_(numbered, named), (exact, Person.book_no))
    return Search(named, by_name)


def find_some(query: str, most: int) -> list[Person]:
    """The first people that match, whoever they are; those who are called just so lead."""
    return _first(find(query), query, most)


def find_listed(query: str, most: int) -> list[Person]:
    """As :func:`find_some`, of those who may stand on leaderboards."""
    return _first(find(query).where(listed()), query, most)


def _first(people: Select[tuple[Person]], query: str, most: int) -> list[Person]:
    # A question of its own: ordering everybody by it would keep the database from stopping at the first.
    called_so = people.where(Person.search_name == fold(query))
    found = dict.fromkeys(db.session.scalars(called_so.limit(most)))
    return list(found | dict.fromkeys(db.session.scalars(people.limit(most))))[:most]


def find(query: str = "", role: Role | None = None, *, active: bool | None = None) -> Select[tuple[Person]]:
    """The query for the people that match, and have the account role where one is given; with ``active`` those
    whose account is on, or off.
    """
    found = search(query)
    people = select(Person).where(found.condition).order_by(*found.order)
    if role:
        people = people.where(Person.role == role)
    return people if active is None else people.where(Person.is_active == active)
