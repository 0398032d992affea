"""Getting a token."""

from flask import Response
from flask_openapi import APIBlueprint

from webapp.domain.people import credentials
from webapp.views.accounts import PER_ADDRESS, authenticate, failed
from webapp.views.api.bearer import errors
from webapp.views.api.schemas import LoginBody, TokenAnswer, send
from webapp.views.errors import answer
from webapp.views.rate_limits import limited
from webapp.views.security import public, secret

blueprint = APIBlueprint("api_auth", __name__, abp_tags=[{"name": "Sign in"}])


@blueprint.post(
    "/auth/login", summary="Get a bearer token", responses={"200": TokenAnswer, **errors(400, 401, 429, 503)}
)
@limited(PER_ADDRESS, counts=failed)
@public
def login(body: LoginBody) -> Response:
    """With a book number and its password; an unknown number is answered like a wrong password."""
    person = authenticate(body.book_no, body.password)
    if person is None:
        return answer(401, "Book number and password do not match.")
    token = credentials.issue_token(person, secret())
    return send(TokenAnswer(access_token=token, expires_in=credentials.TOKEN_LIFETIME))
