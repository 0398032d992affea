"""Marking attendance."""

from uuid import UUID

from flask import Response
from flask_openapi import APIBlueprint

from webapp.database import writing
from webapp.domain import attendance, camps, rolls
from webapp.domain.accounts import Person
from webapp.domain.attendance import Outcome
from webapp.domain.camps import Camp
from webapp.domain.errors import ConflictError
from webapp.views.api.bearer import MARKERS, SECURITY, bearer, errors, named_person, permits
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
    person = named_person(path.user_id)
    if not isinstance(person, Person):
        return person
    camp = _camp(person, body.camp_id)
    if camp is None:
        return answer(404, "There is no camp with this id.")
    with writing():
        outcome = _verb(person, camp, body)
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


def _camp(person: Person, camp_id: UUID | None) -> Camp | None:
    """The camp that is meant: the one named, today's only one, or the one they signed up for.

    Raises :class:`ConflictError` where that is none or several.
    """
    if camp_id:
        return camps.by_id(camp_id)
    todays = camps.camps_of_today(most=2)
    if not todays:
        raise ConflictError("There is no camp today.")
    if len(todays) > 1:
        todays = rolls.signed_up_today(person)
    if len(todays) != 1:
        raise ConflictError("Several camps are on today: say which with camp_id.")
    return todays[0]
