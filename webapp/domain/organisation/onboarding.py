"""The first day: what a new organisation does before its first roll call, and what of it is done."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select

from webapp.database import db
from webapp.domain import audit
from webapp.domain.audit import Action
from webapp.domain.camps.calendar import Camp
from webapp.domain.errors import ConflictError, DomainError, InvalidError
from webapp.domain.models.attendance import Attendance, is_marked
from webapp.domain.organisation import settings
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Person, Role, fold

MOST_TYPED = 300  # people at a time; more come better by a file
MOST_TOLD = 20  # problems
SKIPPED = "first_day"
# "42 Asha Rao", "42, Asha Rao" and "Asha Rao, 42"
NUMBER_FIRST = re.compile(r"([-+]?[0-9]+)(?:\s*[,;:.\t]\s*|\s+)(\S.*)")
NUMBER_LAST = re.compile(r"(.*\S)\s*[,;\t]\s*([-+]?[0-9]+)")
NUMBER_ALONE = re.compile(r"[-+]?[0-9]+")


@dataclass(frozen=True, slots=True)
class FirstDay:
    """What is done, in the order in which it is done."""

    has_name: bool
    has_camp: bool
    has_people: bool
    has_coordinator: bool
    has_marks: bool
    is_skipped: bool

    @property
    def is_over(self) -> bool:
        """Whether nobody needs to be led any more."""
        return self.has_marks or self.is_skipped

    @property
    def next(self) -> str:
        """What to do next: ``organisation``, ``camp``, ``people``, ``coordinator`` or ``roll_call``."""
        steps = {
            "organisation": self.has_name,
            "camp": self.has_camp,
            "people": self.has_people,
            "coordinator": self.has_coordinator,
        }
        return next((step for step, is_done in steps.items() if not is_done), "roll_call")


def standing() -> FirstDay:
    """What is done by now."""
    return FirstDay(
        has_name=settings.has_name(),
        has_camp=_is_there(select(Camp.id)),
        has_people=_is_there(select(Person.id).where(Person.role != Role.ADMIN)),
        has_coordinator=_is_there(select(Person.id).where(Person.role == Role.COORDINATOR)),
        has_marks=_has_marks(),
        is_skipped=_is_skipped(),
    )


def is_over() -> bool:
    """Whether the first day is behind, without asking for all of it."""
    return _is_skipped() or _has_marks()


def skip() -> None:
    """An admin wants to find their way alone."""
    if not _is_skipped():
        settings.put(SKIPPED, "skipped")
        audit.note(Action.SETTINGS_CHANGED, details={SKIPPED: "skipped"})


def _is_skipped() -> bool:
    return settings.get(SKIPPED) == "skipped"


def _has_marks() -> bool:
    # In the order of the key, so that it stops with the first mark.
    return _is_there(select(Attendance.person_id).where(is_marked()).order_by(Attendance.person_id))


def _is_there(query: Select[Any]) -> bool:
    return db.session.scalar(query.limit(1)) is not None


def appoint(person: Person) -> None:
    """Make a volunteer a coordinator. Raises :class:`ConflictError` where they are anything else, or switched off."""
    person = accounts.hold(person.id) or person
    if not person.is_active:
        raise ConflictError(f"{person.name}'s account is switched off. Nothing was changed.")
    if person.role is not Role.VOLUNTEER:
        raise ConflictError(f"{person.name} is {person.role} already. Nothing was changed.")
    before, person.role = person.role, Role.COORDINATOR
    db.session.flush()
    audit.note(Action.ROLE_CHANGED, person_id=person.id, details={"before": before, "role": person.role})


@dataclass(frozen=True, slots=True)
class Typed:
    """A line of typed people."""

    line: int
    name: str
    book_no: int | None


def add_people(text: str) -> list[Person]:
    """Add volunteers that were typed, a name a line, with a book number before it or, after a comma, behind it.

    Either all are added or nobody. Raises :class:`InvalidError`, naming each line that cannot be: a bad name or
    number, a number that is somebody else's, and a name without a number that is here already, for the same list
    sent twice is likelier than a namesake.
    """
    found, problems = _parse(text)
    if not found and not problems:
        raise InvalidError("Nobody was typed. Write one name a line.")
    if len(found) + len(problems) > MOST_TYPED:
        raise InvalidError(f"At most {MOST_TYPED} people can be typed at a time; more come better from a file.")
    problems += _twice(found)
    problems.sort()
    added: list[Person] = []
    if not problems:
        # Who brings a number comes first, so that nobody is given one that somebody brings.
        for each in sorted(found, key=lambda typed: typed.book_no is None):
            try:
                added.append(accounts.add_person(each.name, book_no=each.book_no))
            except DomainError as error:
                problems.append((each.line, str(error)))
    if problems:
        said = [f"Line {line}: {problem}" for line, problem in problems[:MOST_TOLD]]
        more = [f"And {len(problems) - MOST_TOLD} more lines."] if len(problems) > MOST_TOLD else []
        raise InvalidError("\n".join([*said, *more, "Nobody was added."]))
    return added


def _parse(text: str) -> tuple[list[Typed], list[tuple[int, str]]]:
    found: list[Typed] = []
    problems: list[tuple[int, str]] = []
    for line, written in enumerate(text.splitlines(), 1):
        written = written.strip()
        if not written:
            continue
        first, last = NUMBER_FIRST.fullmatch(written), NUMBER_LAST.fullmatch(written)
        name, number = (first[2], first[1]) if first else (last[1], last[2]) if last else (written, None)
        try:
            if NUMBER_ALONE.fullmatch(written):
                raise InvalidError("a number without a name.")
            book_no = accounts.parse_book_no(number) if number else None
            found.append(Typed(line, accounts.clean_name(name), book_no))
        except InvalidError as error:
            problems.append((line, str(error)))
    return found, problems


def _twice(found: Sequence[Typed]) -> list[tuple[int, str]]:
    """What is named twice, in the list or by it and the organisation."""
    unnumbered = {fold(each.name) for each in found if each.book_no is None}
    known = select(Person.search_name, func.min(Person.book_no)).where(Person.search_name.in_(unnumbered))
    here = dict(db.session.execute(known.group_by(Person.search_name)).tuples().all())
    taken = _names_of({each.book_no for each in found if each.book_no is not None})
    names = Counter(fold(each.name) for each in found)
    numbers = Counter(each.book_no for each in found)
    problems = []
    for each in found:
        if each.book_no is None and fold(each.name) in here:
            said = f"{each.name} is here already, with book number {here[fold(each.name)]}."
            problems.append((each.line, f"{said} If this is somebody else, write their book number before the name."))
        elif each.book_no is None and names[fold(each.name)] > 1:
            problems.append((each.line, f"{each.name} is in the list twice. Give each of them a book number."))
        elif each.book_no is not None and each.book_no in taken:
            problems.append((each.line, f"book number {each.book_no} belongs to {taken[each.book_no]}."))
        elif each.book_no is not None and numbers[each.book_no] > 1:
            problems.append((each.line, f"book number {each.book_no} is in the list twice."))
    return problems


def _names_of(book_nos: Collection[int]) -> dict[int, str]:
    query = select(Person.book_no, Person.name).where(Person.book_no.in_(book_nos))
    return dict(db.session.execute(query).tuples().all())
