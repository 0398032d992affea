"""Where the outboxes of phones arrive: operations made at the table, some of them hours ago.

The answer is HTML that htmx swaps: the rows, each once, then what became of each operation. A page of
the former version, kept on a phone, asks for JSON and gets it, for one release.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import generate_csrf
from sqlalchemy.exc import IntegrityError

from webapp import clock
from webapp.database import db, writing
from webapp.domain.attendance import roll_call
from webapp.domain.attendance import sync as operations
from webapp.domain.attendance.fast_path import FastMark
from webapp.domain.attendance.roll_call import Row
from webapp.domain.attendance.sync import (
    AddOrder,
    DecidedOtherwise,
    Done,
    LeaveOrder,
    MarkOrder,
    Order,
)
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import Camp
from webapp.domain.errors import DomainError, InvalidError
from webapp.domain.models.attendance import State
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Role
from webapp.domain.people.credentials import Asker
from webapp.views import live
from webapp.views.errors import answer
from webapp.views.observed import count_marks
from webapp.views.presentation import clock_time, mark_addresses
from webapp.views.roll_call import partials
from webapp.views.security import permits, secret, viewer, wants_json

blueprint = Blueprint("sync", __name__, url_prefix="/roll-call")

MOST_OPERATIONS = 100  # in one batch; each is a transaction of some milliseconds
MOST_BYTES = 1_000_000  # of one batch; an operation may name some thousand people
CLOCK_TOLERANCE = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one operation."""

    id: str | None
    """What the phone calls it."""
    outcome: Literal["done", "refused", "asked"]
    said: str
    at: int
    """An instant before its rows were read, in microseconds since 1970."""
    order: Order | None = None
    """Nothing where what was sent is none."""
    camp: Camp | None = None
    rows: Sequence[Row] = ()


@blueprint.get("/session")
@permits(Role.COORDINATOR, Role.ADMIN)
def session() -> ResponseReturnValue:
    """Who is signed in on this device now, and the CSRF token to send with."""
    return {"person": str(viewer().id), "csrf_token": generate_csrf()}


def _quick(asker: Asker) -> ResponseReturnValue | None:
    """Carry out the one operation of a batch on the fast path, where that can."""
    body = _body()
    if body is None or len(body["operations"]) != 1 or body.get("owner") != str(asker.person_id):
        return None
    try:
        order = operations.parse(body["operations"][0])
    except InvalidError:
        return None
    made = operations.mark_fast(order, asker, secret=secret())
    return _answered([_marked(order, made)], _instant(body.get("sent_at"))) if made else None


@blueprint.post("/sync")
@permits(Role.COORDINATOR, Role.ADMIN, quick=_quick)
def sync() -> ResponseReturnValue:
    """Carry out a batch of operations in their order, each in a transaction of its own, and say of each
    what became of it: ``done``, ``refused`` or ``asked`` (somebody else decided differently).
    """
    body = _body()
    if body is None:
        return answer(400, "This is not a batch of operations. Nothing was changed.")
    sent = body["operations"]
    if body.get("owner") != str(viewer().id):
        return answer(409, "These marks are somebody else's. They stay on this phone until that person signs in.")
    if len(sent) > MOST_OPERATIONS:
        return answer(
            413,
            f"At most {MOST_OPERATIONS} operations at a time; {len(sent):,} came. Nothing was changed.",
        )
    sent_at = _instant(body.get("sent_at"))
    # The fast path has been tried for one that came alone.
    return _answered([_carry_out(each, sent_at, fast=len(sent) > 1) for each in sent], sent_at)


def _body() -> dict[str, Any] | None:
    """What was sent; nothing where it has no list of operations."""
    request.max_content_length = MOST_BYTES
    try:
        body = request.get_json(silent=True)
    except RecursionError:  # brackets within brackets, thousands deep
        return None
    return body if isinstance(body, dict) and isinstance(body.get("operations"), list) else None


def _instant(text: object) -> datetime | None:
    """An instant by the phone's clock; nothing where it cannot be read."""
    try:
        instant = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return instant if instant and instant.tzinfo else None


def _id(sent: object) -> str | None:
    """What the phone calls an operation, so that it knows which answer is for which."""
    operation_id = sent.get("id") if isinstance(sent, dict) else None
    return operation_id[:64] if isinstance(operation_id, str) else None


# --- carrying out --------------------------------------------------------------------------------


def _carry_out(sent: object, sent_at: datetime | None, *, fast: bool) -> Result:
    try:
        order = operations.parse(sent)
    except InvalidError as error:
        return Result(_id(sent), "refused", str(error), live.micros())
    by = viewer()
    try:
        made = operations.mark_fast(order, Asker(by.id, by.session_no), secret=secret()) if fast else None
        if made:
            return _marked(order, made)
        done = _once(order, sent_at)
    except DomainError as error:
        outcome: Literal["asked", "refused"] = "asked" if isinstance(error, DecidedOtherwise) else "refused"
        at = live.micros()
        camp, rows = _as_it_stands(order)
        return Result(str(order.id), outcome, str(error), at, order, camp, rows)
    count_marks("phone", done.outcomes.values())
    at = live.micros()  # before the rows are read: what changes from now on is newer
    rows = partials.rows_after(done)
    return Result(str(order.id), "done", partials.said_after(done, rows), at, order, done.camp, rows)


def _marked(order: Order, made: FastMark) -> Result:
    """What became of a mark that went the fast path."""
    count_marks("phone", [made])
    row = partials.row_of_fast(made)
    said = partials.said_of(row)
    return Result(str(order.id), "done", said, live.micros(), order, made.facts.camp, [row])


def _once(order: Order, sent_at: datetime | None) -> Done:
    for again in (True, False):
        try:
            with writing():
                return operations.carry_out(order, by=viewer(), secret=secret(), sent_at=sent_at)
        except IntegrityError:  # the same operation arrived twice at once; the other one carried it out
            if not again:
                raise
    raise AssertionError


def _as_it_stands(order: Order) -> tuple[Camp | None, Sequence[Row]]:
    """The camp, and the row of the person whose mark was not carried out."""
    camp = calendar.by_id(order.camp)
    person_id = getattr(order, "person", None)
    if camp is None or person_id is None or accounts.by_id(person_id) is None:
        return camp, []
    db.session.expire_all()
    return camp, roll_call.rows_of(camp, [person_id])


# --- answering -----------------------------------------------------------------------------------


def _answered(results: Sequence[Result], sent_at: datetime | None) -> ResponseReturnValue:
    off = sent_at - clock.now() if sent_at else timedelta()
    clock_off = round(off.total_seconds()) if abs(off) > CLOCK_TOLERANCE else 0
    camps_of_batch = {result.camp.id: result.camp for result in results if result.camp}
    closed = {camp.id: partials.closed_line(camp) for camp in camps_of_batch.values()}
    if wants_json():
        return {"results": [_as_json(result, closed) for result in results], "clock_off": clock_off}
    swaps = [_swap(camp, results, closed[camp.id]) for camp in camps_of_batch.values()]
    questions = {result.id: _question(result) for result in results if result.outcome != "done"}
    return partials.render(
        "roll_call/_sync.html",
        swaps=swaps,
        results=results,
        questions=questions,
        said=next((result.said for result in reversed(results) if result.outcome == "done"), ""),
        summary=next((result.said for result in reversed(results) if _is_of_whole_list(result)), ""),
        clock_off=_hours(clock_off) if clock_off else "",
    )


def _swap(camp: Camp, results: Sequence[Result], closed: str) -> str:
    """The rows of one camp, each person once, as the last operation of the batch left them."""
    here = [result for result in results if result.camp and result.camp.id == camp.id]
    rows: dict[UUID, Row] = {}
    for result in here:
        for row in result.rows:
            rows[row.person.id] = row
    html = partials.rows_html(camp, list(rows.values()))
    return partials.swapped(camp, html, min(result.at for result in here), closed=closed, again=True)


def _is_of_whole_list(result: Result) -> bool:
    return result.outcome == "done" and not hasattr(result.order, "person")


def _question(result: Result) -> str:
    """Render what the phone shows on the row: why it was not done, and what one may answer."""
    order, camp = result.order, result.camp
    if order is None or camp is None:
        return ""
    person_id = getattr(order, "person", None)
    return partials.render(
        "roll_call/_question.html",
        asked=result.outcome == "asked",
        said=result.said,
        wanted=_wish(order),
        at=clock_time(order.made_at, camp.site.time_zone),
        address=f"{mark_addresses(camp)}{person_id}" if person_id else "",
    )


def _wish(order: Order) -> str:
    """What an order was to do to somebody, in a few words."""
    if isinstance(order, MarkOrder):
        if order.state is State.EXPECTED:
            return "mark taken back"
        return f"{order.state} as {order.camp_role}" if order.camp_role else str(order.state)
    if isinstance(order, LeaveOrder):
        return "a leaving time"
    return "added" if isinstance(order, AddOrder) else ""


def _hours(seconds: int) -> str:
    return f"{round(abs(seconds) / 360) / 10:g} hours {'ahead' if seconds > 0 else 'behind'}"


def _as_json(result: Result, closed: dict[UUID, str]) -> dict[str, object]:
    camp = result.camp
    told: dict[str, object] = {
        "id": result.id,
        "outcome": result.outcome,
        "said": result.said,
        "at": result.at,
        "rows": [partials.rows_html(camp, [row]) for row in result.rows] if camp else [],
    }
    return told | {"closed": closed[camp.id]} if camp and result.outcome == "done" else told
