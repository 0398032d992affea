"""Cards: the QR code that names a person at the table. It opens no account, and a lost one is replaced.

The text of a card is signed, so that nobody can make one up. It holds the number of the person's
present card: with a replacement the number goes up, and the lost card is good for nothing.
"""

import hashlib
from functools import lru_cache
from uuid import UUID

from itsdangerous import BadSignature, Signer, URLSafeSerializer

from webapp.database import db
from webapp.domain import audit
from webapp.domain.audit import Action
from webapp.domain.errors import InvalidError
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Person

PREFIX = "CAMP-BADGES:"  # so that a phone without a network can tell ours from a shampoo's
LONGEST = 200  # characters of a text that is looked at


@lru_cache(maxsize=8)  # a roll call asks for thousands of cards, and they are made for one
def _signer(secret: str) -> tuple[URLSafeSerializer, Signer]:
    serializer = URLSafeSerializer(secret, salt="camp-badges card")  # no token of any other kind
    return serializer, serializer.make_signer(serializer.salt)


def text_of(person: Person, secret: str) -> str:
    """What the QR code of somebody's present card says."""
    serializer, signer = _signer(secret)
    said = serializer.dump_payload([person.id.hex, person.card_no])
    return PREFIX + signer.sign(said).decode()


def digest_of(person: Person, secret: str) -> str:
    """A short word by which a phone knows the present card again without being able to make one:
    the first 8 hexadecimal digits of its text's SHA-256. The signature is what counts on the server.
    """
    return hashlib.sha256(text_of(person, secret).encode()).hexdigest()[:8]


def read(text: str, secret: str) -> Person:
    """The active person whose present card this is.

    Raises :class:`InvalidError`, saying why, for what is no card of ours, a replaced one, and one of
    somebody whose account is switched off.
    """
    if not text.startswith(PREFIX):
        raise InvalidError("This is not a Camp Badges card.")
    try:
        person_id, card_no = _signer(secret)[0].loads(text[:LONGEST].removeprefix(PREFIX))
        person = accounts.by_id(UUID(hex=person_id))
    except (BadSignature, ValueError, TypeError):
        raise InvalidError("This is not a card of this organisation.") from None
    if person is None:
        raise InvalidError("This card's person is not here any more.")
    if not person.is_active:
        raise InvalidError(f"{person.name}'s account is switched off.")
    if person.card_no != card_no:
        raise InvalidError(f"{person.name} has a newer card; this one was replaced. Mark them by name or book number.")
    return person


def replace(person: Person) -> None:
    """Give somebody a new card; the one they had is good for nothing from now on."""
    person.card_no = Person.card_no + 1  # counted by the database, so that none of two replacements is lost
    db.session.flush()
    db.session.refresh(person, ["card_no"])
    audit.note(Action.CARD_REPLACED, person_id=person.id)
