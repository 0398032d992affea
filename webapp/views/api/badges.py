"""Badges and progress: one's own, and anybody's for those who mark."""

from uuid import UUID

from flask import Response
from flask_openapi import APIBlueprint

from webapp import metrics
from webapp.database import writing
from webapp.domain.attendance import marking
from webapp.domain.badges import awards, history
from webapp.domain.badges.progress import next_of, progress_of
from webapp.domain.people.accounts import Person, Role
from webapp.views.api.bearer import MARKERS, SECURITY, bearer, errors, named_person, permits
from webapp.views.api.schemas import (
    BadgesAnswer,
    EvaluationAnswer,
    PersonPath,
    ProgressAnswer,
    ProgressItem,
    badge_answers,
    send,
)

blueprint = APIBlueprint("api_badges", __name__, abp_tags=[{"name": "Badges"}], abp_security=SECURITY)

MINE = errors(401)
THEIRS = errors(400, 401, 403, 404)


@blueprint.get("/users/me/badges", summary="My badges", responses={"200": BadgesAnswer, **MINE})
@permits(*Role)
def my_badges() -> Response:
    """Of the person the token belongs to."""
    return _badges(bearer())


@blueprint.get("/users/<user_id>/badges", summary="Somebody's badges", responses={"200": BadgesAnswer, **THEIRS})
@permits(*MARKERS, self_too=True)
def their_badges(path: PersonPath) -> Response:
    """For oneself, coordinators and admins."""
    person = named_person(path.user_id)
    return _badges(person) if isinstance(person, Person) else person


@blueprint.get("/users/me/badge-progress", summary="My progress", responses={"200": ProgressAnswer, **MINE})
@permits(*Role)
def my_progress() -> Response:
    """Of the person the token belongs to."""
    return _progress(bearer().id)


@blueprint.get(
    "/users/<user_id>/badge-progress", summary="Somebody's progress", responses={"200": ProgressAnswer, **THEIRS}
)
@permits(*MARKERS, self_too=True)
def their_progress(path: PersonPath) -> Response:
    """For oneself, coordinators and admins."""
    person = named_person(path.user_id)
    return _progress(person.id) if isinstance(person, Person) else person


@blueprint.post(
    "/users/<user_id>/evaluate-badges", summary="Award what is due", responses={"200": EvaluationAnswer, **THEIRS}
)
@permits(*MARKERS)
def evaluate(path: PersonPath) -> Response:
    """Awards every badge reached and not yet held; revokes nothing. A second call awards none."""
    person = named_person(path.user_id)
    if not isinstance(person, Person):
        return person
    with writing():
        new = {badge.id for badge in marking.evaluate(person).new}
        given = awards.of_person(person.id)
    metrics.marked("api", 0, len(new))
    found = badge_answers(award for award in given if award.badge_id in new)
    message = f"{len(found)} new badge(s) awarded"
    return send(EvaluationAnswer(message=message, new_badges=found, total_badges=len(given)))


def _badges(person: Person) -> Response:
    found = badge_answers(awards.of_person(person.id))
    return send(BadgesAnswer(badges=found, count=len(found)))


def _progress(person_id: UUID) -> Response:
    progress = progress_of(history.of_person(person_id), awards.of_person(person_id))
    following = next_of(progress)
    return send(
        ProgressAnswer(
            progress=[ProgressItem.of(each) for each in progress],
            next_badge=ProgressItem.of(following) if following else None,
        )
    )
