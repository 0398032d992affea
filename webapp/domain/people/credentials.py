"""Passwords and bearer tokens."""

import hashlib
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import NamedTuple
from uuid import UUID

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from itsdangerous import BadSignature, TimestampSigner, URLSafeTimedSerializer
from sqlalchemy import ForeignKey, String, select
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql.elements import ColumnElement

from webapp import clock
from webapp.database import Instant, Model, db
from webapp.domain import audit
from webapp.domain.audit import Action
from webapp.domain.errors import ConflictError, DomainError, InvalidError
from webapp.domain.people.accounts import Person, by_book_no, end_sessions, hold, must_be_known, read_again

SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 200  # enough for a sentence; a longer one only costs time to hash

TOKEN_LIFETIME = 12 * 3600  # seconds: one day at a camp
LINK_LIFETIME = timedelta(hours=24)  # until somebody has given themselves a password

# argon2's defaults (RFC 9106, low-memory profile) cost about 140 ms and 64 MiB a hash. Two at a time
# keep a small machine usable while a whole camp signs in; the others wait their turn.
_hasher = PasswordHasher()
_hashing = threading.BoundedSemaphore(2)
_PATIENCE = 10  # seconds
# Of a password nobody has, so that an unknown book number takes as long to refuse as a wrong password.
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$Yk6ZK2Yl2xPm8VHPFh0vS2mBqE5YQx4gDqVwY3jL1uA"


class Asker(NamedTuple):
    """Who asks, as a session or token says; it is good while the person's sessions have this number."""

    person_id: UUID
    session_no: int


class PasswordLink(Model):
    """A one-time link by which somebody gives themselves a password. A new one replaces it; used, it is gone."""

    __tablename__ = "password_link"

    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    """SHA-256 of what the link holds, in hex: who reads the table cannot use it."""
    session_no: Mapped[int]
    """The person's when it was made: what ends their sessions ends the link, too."""
    expires_at: Mapped[datetime] = mapped_column(Instant)
    made_by_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))


class LinkOver(DomainError):
    """A link that does not work any more, or never did."""


class BusyError(DomainError):
    """Too many people are signing in at this moment."""


@contextmanager
def _place_to_hash() -> Iterator[None]:
    if not _hashing.acquire(timeout=_PATIENCE):
        raise BusyError("Many people are signing in right now. Please try again in a minute.")
    try:
        yield
    finally:
        _hashing.release()


def _bytes(password: str) -> bytes:
    return password.encode(errors="surrogatepass")  # JSON can hold half a character


def _verify(password_hash: str, password: str) -> bool:
    with _place_to_hash():
        try:
            return _hasher.verify(password_hash, _bytes(password))
        except (VerificationError, InvalidHashError):
            return False


def hash_password(password: str) -> str:
    """The hash of a new password. It takes long: call it outside a write transaction.

    Raises :class:`InvalidError` unless it has 8 to 200 characters, :class:`BusyError` under a rush.
    """
    if len(password) < SHORTEST_PASSWORD:
        raise InvalidError(f"A password has at least {SHORTEST_PASSWORD} characters.")
    if len(password) > LONGEST_PASSWORD:
        raise InvalidError(f"A password has at most {LONGEST_PASSWORD} characters.")
    with _place_to_hash():
        return _hasher.hash(_bytes(password))


def set_password(person: Person, password_hash: str) -> None:
    """Give a person a new password; every open session, token and link of theirs ends.

    Raises :class:`ConflictError` where somebody is anonymised.
    """
    must_be_known(person)
    person.password_hash = password_hash
    end_sessions(person)
    audit.note(Action.PASSWORD_SET, person_id=person.id)


def has_password(person: Person, password: str) -> bool:
    """Whether this is the person's password."""
    return person.password_hash is not None and _verify(person.password_hash, password[: LONGEST_PASSWORD + 1])


def authenticate(book_no: int, password: str) -> Person | None:
    """The active person with this book number and password, or nobody.

    It takes the same time and gives the same answer for an unknown number, an account without a
    password, a deactivated one and a wrong password. Raises :class:`BusyError` under a rush.
    """
    person = by_book_no(book_no)
    db.session.commit()  # hashing takes long; hold neither a connection nor a snapshot meanwhile
    known = person.password_hash if person else None
    right = _verify(known or _NOBODY, password[: LONGEST_PASSWORD + 1])
    return person if person and known and right and person.is_active else None


def make_link(person: Person, *, by: Person) -> str:
    """The secret of a one-time link by which somebody gives themselves a password within
    :data:`LINK_LIFETIME`. It is told this once; a link made earlier is over.

    Raises :class:`ConflictError` where the account is switched off.
    """
    person = hold(person.id) or person
    if not person.is_active:
        raise ConflictError(f"{person.name}'s account is switched off, so it needs no password. Nothing was changed.")
    secret = secrets.token_urlsafe(32)
    link = PasswordLink(
        person_id=person.id,
        digest=_digest(secret),
        session_no=person.session_no,
        expires_at=clock.now() + LINK_LIFETIME,
        made_by_id=by.id,
    )
    db.session.merge(link)
    db.session.flush()
    audit.note(Action.LINK_MADE, person_id=person.id, details={"until": link.expires_at})
    return secret


def person_of_link(secret: str) -> Person:
    """Whose password a link is for. Raises :class:`LinkOver`, saying why, where it does not work."""
    link = _link(PasswordLink.digest == _digest(secret))
    person = read_again(link.person_id) if link else None
    if link is None or person is None or not _is_good(link, person):
        raise LinkOver("It was used already, or there is a newer one, or the account was switched off.")
    if link.expires_at <= clock.now():
        raise LinkOver("It has expired: a link works for 24 hours.")
    return person


def use_link(secret: str, password_hash: str) -> Person:
    """Somebody gives themselves a password by their link, which is over with it.

    Raises :class:`LinkOver`, saying why, where it does not work.
    """
    hold(person_of_link(secret).id)
    person = person_of_link(secret)  # who used it at the same moment was first
    db.session.delete(db.session.get_one(PasswordLink, person.id))
    with audit.acting(replace(audit.actor(), by_id=person.id)):  # whoever else is signed in on this device
        set_password(person, password_hash)
    return person


def open_link_of(person: Person) -> PasswordLink | None:
    """The link by which somebody can still give themselves a password."""
    link = _link(PasswordLink.person_id == person.id)
    return link if link and _is_good(link, person) and link.expires_at > clock.now() else None


def _link(condition: ColumnElement[bool]) -> PasswordLink | None:
    return db.session.scalar(select(PasswordLink).where(condition).execution_options(populate_existing=True))


def _is_good(link: PasswordLink, person: Person) -> bool:
    return person.is_active and link.session_no == person.session_no


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def session_key(person: Person) -> str:
    """What a session or token carries: the person and the number of their present sessions."""
    return f"{person.id}:{person.session_no}"


def person_of(session_key: str) -> Person | None:
    """The active person a session key stands for; nobody once the password changed or the account ended."""
    asker = asker_of(session_key)
    person = read_again(asker.person_id) if asker else None
    if not asker or not person or not person.is_active or person.session_no != asker.session_no:
        return None
    return person


def asker_of(session_key: str) -> Asker | None:
    """Who a session key names, for the fast path, which asks itself whether the session still stands."""
    person_id, _, session_no = session_key.partition(":")
    try:
        return Asker(UUID(person_id), int(session_no))
    except ValueError:
        return None


@cache
def _signer(secret: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(secret, salt="camp-badges bearer token")


def issue_token(person: Person, secret: str) -> str:
    """A bearer token for the JSON API, good for :data:`TOKEN_LIFETIME` seconds."""
    return str(_signer(secret).dumps(session_key(person)))


def session_of_token(token: str, secret: str) -> str | None:
    """The session key in a bearer token; nothing when it is forged or old."""
    try:
        session_key, issued_at = _read_token(token, secret)
    except BadSignature:
        return None
    age = _DATING.get_timestamp() - issued_at
    return session_key if 0 <= age <= TOKEN_LIFETIME else None


_DATING = TimestampSigner("the clock that tokens are dated by")


@lru_cache(maxsize=1024)  # a script sends its token with each of very many marks
def _read_token(token: str, secret: str) -> tuple[str, float]:
    """What a token says, and when it was issued, in seconds since 1970. Raises :class:`BadSignature`."""
    session_key, issued_at = _signer(secret).loads(token, return_timestamp=True)
    return str(session_key), issued_at.timestamp()
