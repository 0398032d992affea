"""Operations: what a coordinator did on a phone, perhaps long before it reached the server.

Each has an id made on the phone. It is carried out once, in one transaction with the note that it was,
so that the phone may send it as often as it takes to hear an answer. And each says what the phone
believed to stand when the coordinator decided: where somebody else decided differently since, it is
not carried out but brought back as a question.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from sqlalchemy import JSON, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from webapp import clock
from webapp.database import Instant, Model, db
from webapp.domain.attendance import fast_path, marking, roll_call
from webapp.domain.attendance.fast_path import FastMark
from webapp.domain.attendance.marking import Outcome
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import Camp
from webapp.domain.errors import ConflictError, InvalidError
from webapp.domain.models.attendance import LONGEST_REASON, Attendance, CampRole, State
from webapp.domain.people import accounts, cards
from webapp.domain.people.accounts import LONGEST_NAME, Person
from webapp.domain.people.credentials import Asker

MOST_PEOPLE = 5_000  # that one operation may name


class Operation(Model):
    """An operation that was carried out: when by the phone's clock, and when it arrived."""

    __tablename__ = "operation"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    by_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    camp_id: Mapped[UUID] = mapped_column(ForeignKey("camp.id"), index=True)
    action: Mapped[str] = mapped_column(String(16))
    order: Mapped[dict[str, Any]] = mapped_column(JSON)
    made_at: Mapped[datetime] = mapped_column(Instant)
    received_at: Mapped[datetime] = mapped_column(Instant)


def _in_utc(instant: datetime) -> datetime:
    """Raises :class:`ValueError` for an instant that UTC has no year for."""
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("this is no time of ours") from None


class _Order(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    id: UUID
    camp: UUID
    made_at: Annotated[AwareDatetime, AfterValidator(_in_utc)]


class MarkOrder(_Order):
    """Set one person's state. ``base`` is what the phone believed to stand: what it had heard, or, if
    ``unconfirmed``, what an earlier mark of its own was to make of it.
    """

    action: Literal["mark"]
    person: UUID
    state: State
    camp_role: CampRole | None = None
    reason: str | None = Field(None, max_length=LONGEST_REASON)
    base: State | None = None
    base_role: CampRole | None = None
    unconfirmed: bool = False
    card: str | None = Field(None, max_length=cards.LONGEST)


class LeaveOrder(_Order):
    """Set when one person leaves: at the time of the order, ``at`` a time on the camp's clock, or not."""

    action: Literal["leave"]
    person: UUID
    at: time | Literal["now"] | None


class AddOrder(_Order):
    """Add somebody new, who is here. The phone made the person's id; the book number is given here."""

    action: Literal["add"]
    person: UUID
    name: str = Field(max_length=4 * LONGEST_NAME)
    camp_role: CampRole = CampRole.VOLUNTEER


class EveryoneOrder(_Order):
    """Everyone who was shown as expected is here."""

    action: Literal["everyone"]
    people: list[UUID] = Field(max_length=MOST_PEOPLE)


class CloseOrder(_Order):
    """Close the roll call, or open it again."""

    action: Literal["close", "reopen"]


Order = MarkOrder | LeaveOrder | AddOrder | EveryoneOrder | CloseOrder
_orders: TypeAdapter[Order] = TypeAdapter(Annotated[Order, Field(discriminator="action")])


class DecidedOtherwise(ConflictError):
    """Somebody else decided differently since the phone last heard of it."""


@dataclass(frozen=True, slots=True)
class Done:
    """What carrying an order out did; empty where it had been carried out before."""

    camp: Camp
    people: Collection[UUID]
    outcomes: Mapping[UUID, Outcome] = field(default_factory=dict)
    said: str = ""


def parse(sent: object) -> Order:
    """An order as it was sent. Raises :class:`InvalidError` in plain words for anything else."""
    try:
        return _orders.validate_python(sent)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or "the operation"
        raise InvalidError(f"This could not be understood ({where}: {first['msg']}).") from None


def carry_out(
    order: Order,
    *,
    by: Person,
    secret: str,
    sent_at: datetime | None = None,
    asks: bool = True,
) -> Done:
    """Carry out an order inside the caller's transaction, unless that was done already.

    ``sent_at`` is what the phone's clock said when it sent the order: by its difference to ours, the
    phone's times are put right. Unless it ``asks``, the order is carried out whatever stands: it comes
    from a page that showed what stands a moment ago. Raises :class:`InvalidError` and
    :class:`ConflictError` for what cannot be done, :class:`DecidedOtherwise` for what has to be asked;
    then nothing is changed.
    """
    now = clock.now()
    camp = calendar.by_id(order.camp)
    if camp is None:
        raise InvalidError("There is no such camp.")
    known = db.session.get(Operation, order.id)
    if known:
        if (known.by_id, known.camp_id) != (by.id, camp.id):
            raise ConflictError("Another operation has the same id.")
        return Done(camp, _named(order))
    # Before the note of the operation, whose key takes a lighter hold of the camp: two that close the roll
    # call together would wait for each other.
    calendar.hold(camp, to_change=isinstance(order, CloseOrder))
    db.session.add(Operation(**_row(order, by.id), order=_content(order)))
    db.session.flush()  # the same operation sent twice at once waits here for the other
    skew = now - sent_at if sent_at else timedelta()
    decided_at = min(_shifted(order.made_at, skew), now)
    return _carry_out(order, camp, by, secret, decided_at, asks=asks)


def mark_fast(order: Order, asker: Asker, *, secret: str, asks: bool = True) -> FastMark | None:
    """Carry out an order that marks somebody present on the fast path, which commits by itself; nothing
    where it is another order, or :func:`carry_out` has to look closer.
    """
    if not isinstance(order, MarkOrder) or order.state is not State.PRESENT:
        return None

    def agrees(person: Person, stored: Attendance | None) -> bool:
        is_own_card = order.card is None or order.card == cards.text_of(person, secret)
        return is_own_card and not (asks and _decided_otherwise(order, stored, asker.person_id))

    return fast_path.mark(
        order.person,
        order.camp,
        asker,
        camp_role=order.camp_role,
        agrees=agrees if asks or order.card else None,
        operation=_row(order, asker.person_id) | {"order": json.dumps(_content(order))},
    )


def _row(order: Order, by_id: UUID) -> dict[str, Any]:
    """What is stored of an order, but for its content."""
    return {
        "id": order.id,
        "by_id": by_id,
        "camp_id": order.camp,
        "action": order.action,
        "made_at": order.made_at,
        "received_at": clock.now(),
    }


def _content(order: Order) -> dict[str, Any]:
    return order.model_dump(mode="json", exclude={"id", "camp", "made_at", "action", "card"})


def _shifted(instant: datetime, by: timedelta) -> datetime:
    try:
        return instant + by
    except OverflowError:
        return clock.now()


def _named(order: Order) -> Collection[UUID]:
    if isinstance(order, EveryoneOrder):
        return order.people
    return [] if isinstance(order, CloseOrder) else [order.person]


def _carry_out(
    order: Order,
    camp: Camp,
    by: Person,
    secret: str,
    decided_at: datetime,
    *,
    asks: bool,
) -> Done:
    if isinstance(order, EveryoneOrder):
        return _everyone(order, camp, by)
    if isinstance(order, CloseOrder):
        return _close(order, camp, by)
    if isinstance(order, AddOrder):
        person = _add(order)
        outcome = marking.mark_present(person, camp, by=by, camp_role=order.camp_role)
        return Done(camp, [person.id], {person.id: outcome}, f"{person.name} has book number {person.book_no}.")
    found = accounts.by_id(order.person)
    if found is None:
        raise InvalidError("There is no such person.")
    if isinstance(order, LeaveOrder):
        outcome = _leave(order, found, camp, decided_at)
    else:
        outcome = _mark(order, found, camp, by, secret, asks=asks)
    return Done(camp, [found.id], {found.id: outcome})


def _add(order: AddOrder) -> Person:
    if accounts.by_id(order.person):
        raise ConflictError("This person has been added already.")
    return accounts.add_person(order.name, person_id=order.person)


def _everyone(order: EveryoneOrder, camp: Camp, by: Person) -> Done:
    outcomes = roll_call.everyone_is_here(camp, by=by, only=set(order.people))
    left = len(set(order.people) - outcomes.keys())
    said = f"{_people(len(outcomes))} marked present."
    if left:
        said += f" {_people(left)} had been marked meanwhile, and were left as they are."
    return Done(camp, set(order.people) | outcomes.keys(), outcomes, said)


def _close(order: CloseOrder, camp: Camp, by: Person) -> Done:
    if order.action == "close":
        outcomes = roll_call.close(camp, by=by)
        said = f"The roll call is closed. {_people(len(outcomes))} marked absent."
    else:
        outcomes = roll_call.reopen(camp, by=by)
        said = f"The roll call is open again. {_people(len(outcomes))} expected again."
    return Done(camp, outcomes.keys(), outcomes, said)


def _people(number: int) -> str:
    return f"{number:,} {'person' if number == 1 else 'people'}"


def _leave(order: LeaveOrder, person: Person, camp: Camp, decided_at: datetime) -> Outcome:
    if order.at is None:
        return marking.stay(person, camp)
    at = decided_at if order.at == "now" else datetime.combine(camp.camp_date, order.at, camp.site.zone)
    return marking.check_out(person, camp, at=at)


def _mark(
    order: MarkOrder,
    person: Person,
    camp: Camp,
    by: Person,
    secret: str,
    *,
    asks: bool,
) -> Outcome:
    if order.card is not None and cards.read(order.card, secret).id != person.id:
        raise InvalidError("This card names somebody else.")
    found = marking.lock_attendance(person, camp)
    if asks and _decided_otherwise(order, found, by.id):
        raise DecidedOtherwise(_what_stands(found, person, camp, by))
    match order.state:
        case State.PRESENT:
            return marking.mark_present(person, camp, by=by, camp_role=order.camp_role)
        case State.EXCUSED:
            known = found.reason if found and found.state is State.EXCUSED else None
            return marking.excuse(person, camp, by=by, reason=order.reason or known)
        case State.ABSENT:
            return marking.mark_absent(person, camp, by=by)
        case State.EXPECTED:
            return marking.undo(person, camp, by=by)


def _decided_otherwise(order: MarkOrder, found: Attendance | None, by_id: UUID) -> bool:
    """Whether somebody's decision stands that the phone did not know and that differs from the order.

    Not having signed up and being expected are no decisions; nor is what the closing of the roll call
    presumed, or what the person said of themselves before the camp.
    """
    undecided = (None, State.EXPECTED)
    stands = found.state if found else None
    role = found.camp_role if found and stands is State.PRESENT else None
    if stands == order.state and order.camp_role in (None, role):
        return False
    if stands in undecided:
        return order.state not in undecided and order.base not in undecided
    assert found is not None
    if found.presumed or (found.declined_at and stands is State.EXCUSED):
        return False
    if order.unconfirmed and found.marked_by_id != by_id:
        return True  # the earlier mark found the same decided already, and changed nothing
    return stands != order.base or (order.base_role is not None and role is not None and role != order.base_role)


def _what_stands(found: Attendance | None, person: Person, camp: Camp, by: Person) -> str:
    """Somebody else's decision in a sentence."""
    if found is None:
        return "Somebody took the mark back meanwhile."
    if found.marked_by_id is None or found.marked_at is None:
        return f"{person.name} is {found.state} on the server."
    marker = accounts.by_id(found.marked_by_id)
    who = "You" if found.marked_by_id == by.id else marker.name if marker else "Somebody"
    at = f"{found.marked_at.astimezone(camp.site.zone):%H:%M}"
    role = f" as {found.camp_role}" if found.state is State.PRESENT else ""
    what = "took the mark back" if found.state is State.EXPECTED else f"marked {found.state}{role}"
    return f"{who} {what} at {at}{' on another device' if who == 'You' else ''}."
