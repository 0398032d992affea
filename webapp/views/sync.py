"""Where the outboxes of phones arrive: operations made at the table, some of them hours ago."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import generate_csrf
from sqlalchemy.exc import IntegrityError

from webapp import clock
from webapp.database import db, writing
from webapp.domain import accounts, camps, operations, rolls
from webapp.domain.accounts import Role
from webapp.domain.attendance.fast_path import FastMark
from webapp.domain.camps import Camp
from webapp.domain.errors import DomainError, InvalidError
from webapp.domain.operations import DecidedOtherwise, Done, Order
from webapp.domain.rolls import Row
from webapp.views import live
from webapp.views.errors import answer
from webapp.views.observed import count_marks
from webapp.views.rows import closed_line, rows_html, said_of
from webapp.views.security import permits, secret, viewer

blueprint = Blueprint("sync", __name__, url_prefix="/roll-call")

MOST_OPERATIONS = 100  # in one batch; each is a transaction of some milliseconds
MOST_BYTES = 1_000_000  # of one batch; an operation may name some thousand people
CLOCK_TOLERANCE = timedelta(minutes=2)


@blueprint.get("/session")
@permits(Role.COORDINATOR, Role.ADMIN)
def session() -> ResponseReturnValue:
    """Who is signed in on this device now, and the CSRF token to send with."""
    return {"person": str(viewer().id), "csrf_token": generate_csrf()}


@blueprint.post("/sync")
@permits(Role.COORDINATOR, Role.ADMIN)
def sync() -> ResponseReturnValue:
    """Carry out a batch of operations in their order, each in a transaction of its own, and say of each
    what became of it: ``done``, ``refused`` or ``asked`` (somebody else decided differently).
    """
    request.max_content_length = MOST_BYTES
    try:
        body = request.get_json(silent=True)
    except RecursionError:  # brackets within brackets, thousands deep
        body = None
    sent = body.get("operations") if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(sent, list):
        return answer(400, "This is not a batch of operations. Nothing was changed.")
    if body.get("owner") != str(viewer().id):
        return answer(409, "These marks are somebody else's. They stay on this phone until that person signs in.")
    if len(sent) > MOST_OPERATIONS:
        return answer(413, f"At most {MOST_OPERATIONS} operations at a time; {len(sent):,} came. Nothing was changed.")
    sent_at = _instant(body.get("sent_at"))
    results = [{"id": _id(each)} | _carry_out(each, sent_at) for each in sent]
    _say_closed(results)
    off = sent_at - clock.now() if sent_at else timedelta()
    return {
        "results": results,
        "clock_off": round(off.total_seconds()) if abs(off) > CLOCK_TOLERANCE else 0,
    }


def _instant(text: object) -> datetime | None:
    """An instant by the phone's clock; nothing where it cannot be read."""
    try:
        instant = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return instant if instant and instant.tzinfo else None


def _id(sent: object) -> str | None:
    """What the phone calls an operation, so that it knows which answer is for which."""
    found = sent.get("id") if isinstance(sent, dict) else None
    return found[:64] if isinstance(found, str) else None


def _carry_out(sent: object, sent_at: datetime | None) -> dict[str, object]:
    try:
        order = operations.parse(sent)
    except InvalidError as error:
        return {"outcome": "refused", "said": str(error), "at": live.micros(), "rows": []}
    try:
        made = operations.mark_fast(order, by=viewer(), secret=secret())
        if made:
            return _marked(made)
        done = _once(order, sent_at)
    except DomainError as error:
        outcome = "asked" if isinstance(error, DecidedOtherwise) else "refused"
        return {"outcome": outcome, "said": str(error), "at": live.micros(), "rows": _standing(order)}
    count_marks("phone", done.outcomes.values())
    settled = {person_id: outcome.badges for person_id, outcome in done.outcomes.items()}
    at = live.micros()  # before the rows are read: what changes from now on is newer
    rows = _rows_after(done)
    said = done.said
    if len(rows) == 1 and rows[0].person.id in settled:
        said = f"{said_of(rows[0], settled[rows[0].person.id])} {said}".strip()
    return {
        "outcome": "done",
        "said": said,
        "at": at,
        "rows": rows_html(done.camp, rows, settled),
        "closed": done.camp,
    }


def _marked(made: FastMark) -> dict[str, object]:
    """What became of a mark that went the fast path."""
    count_marks("phone", [made])
    at = live.micros()
    camp, person = made.facts.camp, made.facts.person
    row = Row(person, made.outcome.attendance, made.badges.new)
    return {
        "outcome": "done",
        "said": said_of(row, made.badges),
        "at": at,
        "rows": rows_html(camp, [row], {person.id: made.badges}),
        "closed": camp,
    }


def _say_closed(results: Sequence[dict[str, object]]) -> None:
    """Put the line that says who closed the roll call, as it is after the whole batch, in place of camps."""
    lines: dict[UUID, str] = {}
    for result in results:
        camp = result.get("closed")
        if isinstance(camp, Camp):
            if camp.id not in lines:
                lines[camp.id] = closed_line(camp)
            result["closed"] = lines[camp.id]


def _rows_after(done: Done) -> list[Row]:
    if len(done.people) == 1:
        (person_id,) = done.people
        person = accounts.by_id(person_id)
        if person:
            return [rolls.row_after(done.camp, person, done.outcomes.get(person_id))]
    return rolls.rows_of(done.camp, done.people)


def _once(order: Order, sent_at: datetime | None) -> Done:
    for again in (True, False):
        try:
            with writing():
                return operations.carry_out(order, by=viewer(), secret=secret(), sent_at=sent_at)
        except IntegrityError:  # the same operation arrived twice at once; the other one carried it out
            if not again:
                raise
    raise AssertionError


def _standing(order: Order) -> list[str]:
    """The row of the person whose mark was not carried out, as it stands."""
    camp = camps.by_id(order.camp)
    person_id = getattr(order, "person", None)
    if camp is None or person_id is None or accounts.by_id(person_id) is None:
        return []
    db.session.expire_all()
    return rows_html(camp, rolls.rows_of(camp, [person_id]))
