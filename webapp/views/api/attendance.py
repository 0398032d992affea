"""Marking attendance."""

from flask import Response
from flask_openapi import APIBlueprint

from webapp.database import writing
from webapp.domain import accounts, attendance, camps, rolls
from webapp.domain.accounts import Person
from webapp.domain.attendance import Outcome
from webapp.domain.camps import Camp
from webapp.domain.errors import ConflictError
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


@blueprint.put(
    "/medical-camps/camp/<user_id>/attendance",
    summary="Mark somebody present, or record that they leave",
    responses={"200": AttendanceAnswer, **errors(400, 401, 403, 404, 409)},
)
@permits(*MARKERS)
def mark(path: PersonPath, body: AttendanceBody) -> Response:
    """At today's camp, in one transaction with the badges it earns. Repeating it changes nothing."""
    with writing():
        # The camp is held before the person, as everywhere.
        camp = camps.hold_only_camp_of_today() if body.camp_id is None else camps.hold_by_id(body.camp_id)
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
        return attendance.check_out(person, camp)
    return attendance.mark_present(person, camp, by=bearer(), camp_role=body.camp_role)


def _answer(outcome: Outcome) -> AttendanceAnswer:
    assert outcome.attendance is not None  # somebody present is on the roll
    new = [BadgeAnswer.new(badge, outcome.badges.at) for badge in outcome.badges.new]
    return AttendanceAnswer(attendance=AttendanceState.of(outcome.attendance), new_badges=new)


def _one_of_several(person: Person) -> Camp:
    """Of today's camps the one that somebody signed up for.

    Raises :class:`ConflictError` where that is none or several.
    """
    signed_up = rolls.signed_up_today(person)
    if len(signed_up) == 1:
        return signed_up[0]
    if camps.camps_of_today(most=1):
        raise ConflictError("Several camps are on today: say which with camp_id.")
    raise ConflictError("There is no camp today.")
