"""Who is asking, what they may see, and what the browser is told to refuse."""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from flask import Flask, Request, Response, abort, current_app, jsonify, redirect, request, session, url_for
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, current_user
from flask_wtf import CSRFProtect

from webapp.domain import audit
from webapp.domain.people.accounts import Person, Role
from webapp.domain.people.credentials import asker_of, person_of, session_key

P = ParamSpec("P")
R = TypeVar("R")

csrf = CSRFProtect()
login_manager = LoginManager()

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "worker-src 'self' blob:",  # the service worker, and the reader of QR codes
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)


class SessionPerson:
    """What Flask-Login keeps: a person, known again by a key that ends with their present sessions."""

    is_authenticated = True
    is_anonymous = False

    def __init__(self, person: Person) -> None:
        self.person = person
        self.is_active = person.is_active

    def get_id(self) -> str:
        """What the session cookie holds."""
        return session_key(self.person)


def has_token(request: Request) -> bool:
    """Whether a script asks the API, by its token."""
    return request.path.startswith("/api/") and "Authorization" in request.headers


class _Sessions(SecureCookieSessionInterface):
    """The session cookie is Secure exactly when the request came over HTTPS."""

    def get_cookie_secure(self, app: Flask) -> bool:  # noqa: ARG002
        """Whether this request came over HTTPS."""
        return request.is_secure

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Whoever comes to the API with a token needs no session."""
        if has_token(request):
            return SecureCookieSession()
        return super().open_session(app, request)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Static files are everybody's: were they told to vary with the cookie, which changes with every
        page, a browser would fetch what it has. Machines that ask for the health have no session. A
        page prolongs the session; what it fetches later does not, as the cookie weighs on every mark.
        """
        has_none = has_token(request) or request.endpoint == "static" or request.blueprint == "health"
        is_unchanged_fragment = from_htmx() and not session.modified
        if not has_none and not is_unchanged_fragment:
            super().save_session(app, session, response)


def init_app(app: Flask) -> None:
    """Sessions, CSRF and security headers."""
    app.session_interface = _Sessions()
    app.config.from_mapping(
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        WTF_CSRF_TIME_LIMIT=None,  # as long as the session: a roll call stays open all day
    )
    csrf.init_app(app)
    login_manager.init_app(app)
    login_manager.user_loader(_load)
    app.after_request(_harden)


def _load(key: str) -> SessionPerson | None:
    person = person_of(key)
    if person is None:
        return None
    acts(person)
    return SessionPerson(person)


def acts(person: Person) -> None:
    """Whatever this request changes, the audit trail says who did it."""
    audit.act(replace(audit.actor(), by_id=person.id))


def viewer() -> Person:
    """The person signed in. Only for views behind :func:`permits`."""
    return cast(SessionPerson, current_user).person


def signed_in() -> Person | None:
    """The person signed in, if anybody is."""
    return current_user.person if current_user.is_authenticated else None


def public(view: Callable[P, R]) -> Callable[P, R]:
    """Marks a route that needs no sign-in."""
    view.permission = "public"  # type: ignore[attr-defined]
    return view


Quick = Callable[..., ResponseReturnValue | None]
"""Answers a request whose asker is not looked up yet, given an :class:`Asker` and the address's parts;
nothing where the ordinary way has to."""


def permits(
    *roles: Role, quick: Quick | None = None
) -> Callable[[Callable[P, ResponseReturnValue]], Callable[P, ResponseReturnValue]]:
    """Marks a route for people of these account roles: others get 403, nobody is sent to sign in. What
    is ``quick`` is tried first, and looks itself who asks.
    """

    def decorate(view: Callable[P, ResponseReturnValue]) -> Callable[P, ResponseReturnValue]:
        @wraps(view)
        def permitted(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
            asker = asker_of(session.get("_user_id", "")) if quick else None
            if quick and asker:
                made = quick(asker, *args, **kwargs)
                if made is not None:
                    return made
            person = signed_in()
            if person is None:
                return to_sign_in()
            if person.role not in roles:
                abort(403)
            return view(*args, **kwargs)

        permitted.permission = roles  # type: ignore[attr-defined]
        return permitted

    return decorate


def from_htmx() -> bool:
    """Whether htmx asked, so that a fragment is the answer."""
    return request.headers.get("HX-Request") == "true"


def wants_json() -> bool:
    """Whether a script asked, of the API or of a page of ours."""
    return request.path.startswith("/api/") or request.headers.get("Accept") == "application/json"


def to_sign_in() -> ResponseReturnValue:
    """The way to the sign-in page, and from there back to where one was."""
    if wants_json() or request.headers.get("Accept") == "text/event-stream":
        return jsonify(detail="Please sign in again."), 401
    if from_htmx():
        page = request.headers.get("HX-Current-URL", "")
        return Response("Please sign in again.", 401, {"HX-Redirect": url_for("accounts.sign_in", next=path_of(page))})
    target = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("accounts.sign_in", next=target))


def path_of(address: str) -> str | None:
    """The path and query of an address of this very site; nothing for any other."""
    address = address.removeprefix(request.host_url.rstrip("/"))
    if address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable():
        return address
    return None


def _harden(response: Response) -> Response:
    response.headers["X-Content-Type-Options"] = "nosniff"
    if request.endpoint == "static":
        if "v" in request.args and response.status_code == 200:
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response
    response.headers["Cache-Control"] = "no-store"  # phones at the table are lent around
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    if response.mimetype != "text/html" or from_htmx():
        return response  # no document: the rest would only weigh
    headers: dict[str, Any] = {
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    }
    for name, value in headers.items():
        response.headers.setdefault(name, value)
    return response


def secret() -> str:
    """What tokens are signed with."""
    return str(current_app.config["SECRET_KEY"])
