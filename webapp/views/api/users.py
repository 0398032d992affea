"""People, for those who mark."""

from flask import Response, jsonify, url_for
from flask_openapi import APIBlueprint
from sqlalchemy import select

from webapp.database import db
from webapp.domain.people.accounts import Person
from webapp.views.api.bearer import MARKERS, SECURITY, errors, permits
from webapp.views.api.schemas import UserAnswer, UsersQuery

blueprint = APIBlueprint("api_users", __name__, abp_tags=[{"name": "People"}], abp_security=SECURITY)

LIST_OF_USERS = {
    "description": "A page of people; the Link header leads to the others",
    "headers": {"Link": {"schema": {"type": "string"}, "description": "first, prev, next and last (RFC 8288)"}},
    "content": {"application/json": {"schema": {"type": "array", "items": UserAnswer.model_json_schema()}}},
}


@blueprint.get("/users/", summary="List people", responses={"200": LIST_OF_USERS, **errors(400, 401, 403)})
@permits(*MARKERS)
def users(query: UsersQuery) -> Response:
    """Active people by book number."""
    people = select(Person).where(Person.is_active).order_by(Person.book_no)
    if query.role:
        people = people.where(Person.role == query.role)
    page = db.paginate(people, page=query.page, per_page=query.per_page, error_out=False)
    response = jsonify([UserAnswer.of(person).model_dump(mode="json") for person in page.items])
    places = {"first": 1, "prev": page.prev_num, "next": page.next_num, "last": max(1, page.pages)}
    response.headers["Link"] = ", ".join(
        f'<{url_for("api_users.users", role=query.role, page=number, per_page=query.per_page)}>; rel="{name}"'
        for name, number in places.items()
        if number
    )
    return response
