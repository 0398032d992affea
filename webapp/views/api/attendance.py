"""Marking attendance."""

from uuid import UUID

from flask import Response, request
from flask_openapi import APIBlueprint

from webapp.database import writing
from webapp.domain.attendance import fast_path, marking, roll_call
from webapp.domain.attendance.marking import Outcome
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import Camp
from webapp.domain.errors import ConflictError
from webapp.domain.models.attendance import CampRole
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Person
from webapp.domain.people.credentials import Asker
from webapp.views.api.bearer import MARKERS, NOBODY, SECURITY, bearer, errors, permits
from webapp.views.api.schemas import (
    AttendanceAnswer,
    AttendanceBody,
    AttendanceState,
    BadgeAnswer,
    PersonPath,
    send,
)
from webapp.views.errors import answer
from webapp.views.observed import count_marks

blueprint = APIBlueprint("api_attendance", __name__, abp_tags=[{"name": "Attendance"}], abp_security=SECURITY)


def _quick(asker: Asker) -> Response | None:
    """Mark somebody present on the fast path, where the request asks for just that."""
    sent = request.get_json(silent=True)
    if not isinstance(sent, dict) or sent.keys() - {"logout", "camp_role", "camp_id"}:
        return None
    if sent.get("logout", False) is not False or sent.get("camp_role") not in (None, "volunteer"):
        return None
    try:
        person_id = UUID((request.view_args or {})["user_id"])
        camp_id = UUID(sent["camp_id"]) if sent.get("camp_id") is not None else None
    except (ValueError, TypeError, AttributeError):
        return None
    camp_role = CampRole.VOLUNTEER if sent.get("camp_role") else None
    made = fast_path.mark(person_id, camp_id, asker, camp_role=camp_role)
    if made is None:
        return None
    count_marks("api", [made])
    new = [BadgeAnswer.new(badge, made.badges.at) for badge in made.badges.new]
    return send(AttendanceAnswer(attendance=AttendanceState.of_fast(made), new_badges=new))


@blueprint.put(
    "/medical-camps/camp/<user_id>/attendance",
    summary="Mark somebody present, or record that they leave",
    responses={"200": AttendanceAnswer, **errors(400, 401, 403, 404, 409)},
)
@permits(*MARKERS, quick=_quick)
def mark(path: PersonPath, body: AttendanceBody) -> Response:
    """At today's camp, in one transaction with the badges it earns. Repeating it changes nothing."""
    with writing():
        # The camp is held before the person, as everywhere.
        camp = calendar.hold_only_camp_of_today() if body.camp_id is None else calendar.hold_by_id(body.camp_id)
        if body.camp_id and camp is None:
            return answer(404, "There is no camp with this id.")
        person = accounts.hold(path.user_id) if camp else accounts.by_id(path.user_id)
        if person is None:
            return answer(404, NOBODY)
        outcome = _verb(person, camp or _one_of_several(person), body)
        sent = _answer(outcome)
    count_marks("api", [outcome])
    return send(sent)


def _verb(person: Person, camp: Camp, body: AttendanceBody) -> Outcome:
    if body.logout:
        return marking.check_out(person, camp)
    return marking.mark_present(person, camp, by=bearer(), camp_role=body.camp_role)


def _answer(outcome: Outcome) -> AttendanceAnswer:
    assert outcome.attendance is not None  # somebody present is on the roll
    new = [BadgeAnswer.new(badge, outcome.badges.at) for badge in outcome.badges.new]
    return AttendanceAnswer(attendance=AttendanceState.of(outcome.attendance), new_badges=new)


def _one_of_several(person: Person) -> Camp:
    """Of today's camps the one that somebody signed up for.

    Raises :class:`ConflictError` where that is none or several.
    """
    signed_up = roll_call.signed_up_today(person)
    if len(signed_up) == 1:
        return signed_up[0]
    if calendar.camps_of_today(most=1):
        raise ConflictError("Several camps are on today: say which with camp_id.")
    raise ConflictError("There is no camp today.")
