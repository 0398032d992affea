"""Who is asking, by bearer token."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec
from uuid import UUID

from flask import Response, g, request
from flask_openapi.request import _validate_request
from flask_openapi.utils import parse_parameters

from webapp.domain.people import accounts
from webapp.domain.people.accounts import Person, Role
from webapp.domain.people.credentials import Asker, asker_of, person_of, session_of_token
from webapp.views.api.schemas import ErrorAnswer
from webapp.views.errors import answer
from webapp.views.security import acts, secret

P = ParamSpec("P")

SECURITY: list[dict[str, list[Any]]] = [{"bearer": []}]
MARKERS = (Role.COORDINATOR, Role.ADMIN)
NOBODY = "There is nobody with this id."


def errors(*statuses: int) -> dict[str, Any]:
    """The failures of a call, for its description."""
    return {str(status): ErrorAnswer for status in statuses}


Quick = Callable[[Asker], Response | None]
"""Answers a request whose asker is not looked up yet; nothing where the ordinary way has to."""


def permits(
    *roles: Role, self_too: bool = False, quick: Quick | None = None
) -> Callable[[Callable[P, Response]], Callable[P, Response]]:
    """Lets people of these account roles in; with ``self_too`` also the person the address names. What is
    ``quick`` is tried first, and looks itself who asks.

    In this order: 401 without a good token, 400 for a bad UUID, 403 for the wrong person, 400 for the rest
    of a bad request.
    """

    def decorate(view: Callable[P, Response]) -> Callable[P, Response]:
        # The library would read the annotations, and make schemas of them, anew with every request.
        models = parse_parameters(view, doc_ui=False)

        @wraps(view)
        def permitted(*args: P.args, **kwargs: P.kwargs) -> Response:
            session_key = _session_key()
            asker = asker_of(session_key) if session_key else None
            if quick and asker and (made := quick(asker)):
                return made
            person = person_of(session_key) if session_key else None
            if person is None:
                return _unauthorized()
            named = (request.view_args or {}).get("user_id")
            try:
                named_id = UUID(named) if named else None
            except ValueError:
                return answer(400, f"“{str(named)[:40]}” is not a UUID.")
            if person.role not in roles and not (self_too and named_id == person.id):
                return answer(403, "Your account may not do this.")
            g.bearer = person
            acts(person)
            return view(*args, **_validate_request(*models, path_kwargs=kwargs))

        permitted.permission = roles  # type: ignore[attr-defined]
        # The library would otherwise validate before it is known who asks.
        permitted.__delay_validate_request__ = True  # type: ignore[attr-defined]
        return permitted

    return decorate


def bearer() -> Person:
    """The person whose token came with the request."""
    person: Person = g.bearer
    return person


def named_person(user_id: UUID) -> Person | Response:
    """The person the address names, or the 404."""
    return accounts.by_id(user_id) or answer(404, NOBODY)


def _session_key() -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return session_of_token(token.strip(), secret()) if scheme.lower() == "bearer" else None


def _unauthorized() -> Response:
    response = answer(401, "A valid bearer token is needed; get one from /api/v1/auth/login.")
    response.headers["WWW-Authenticate"] = "Bearer"
    return response
