"""Cards: they name a person, open nothing, and can be replaced."""

import pytest

from tests.conftest import People
from webapp.database import db, writing
from webapp.domain.errors import InvalidError
from webapp.domain.people import accounts, cards, credentials

pytestmark = pytest.mark.usefixtures("context")
SECRET = "only-for-tests-only"


def test_a_card_names_its_person(people: People) -> None:
    assert cards.read(cards.text_of(people.volunteer, SECRET), SECRET).id == people.volunteer.id


def test_a_replaced_card_says_so_and_the_new_one_works(people: People) -> None:
    lost = cards.text_of(people.volunteer, SECRET)
    digest = cards.digest_of(people.volunteer, SECRET)
    with writing():
        asha = db.session.merge(people.volunteer)
        cards.replace(asha)
    with pytest.raises(InvalidError, match="newer card"):
        cards.read(lost, SECRET)
    assert cards.read(cards.text_of(asha, SECRET), SECRET).id == asha.id
    assert cards.digest_of(asha, SECRET) != digest


def test_a_card_of_somebody_switched_off_says_so(people: People) -> None:
    text = cards.text_of(people.volunteer, SECRET)
    with writing():
        accounts.deactivate(db.session.merge(people.volunteer))
    with pytest.raises(InvalidError, match="Asha Rao's account is switched off"):
        cards.read(text, SECRET)


def test_what_is_no_card_of_ours_is_refused(people: People) -> None:
    ours = cards.text_of(people.volunteer, SECRET)
    for text in (
        "",
        "https://example.org/shampoo",
        cards.PREFIX,
        cards.PREFIX + "nonsense",
        ours[:-5] + ("A" if ours[-5] != "A" else "B") + ours[-4:],  # the last letter has bits that say nothing
        cards.text_of(people.volunteer, "somebody-elses-secret"),
        cards.PREFIX + credentials.issue_token(people.volunteer, SECRET),
        ours + "x" * 10_000,
    ):
        with pytest.raises(InvalidError, match="not a"):
            cards.read(text, SECRET)


def test_a_card_is_useless_for_signing_in(people: People) -> None:
    text = cards.text_of(people.volunteer, SECRET)
    for token in (text, text.removeprefix(cards.PREFIX)):
        assert credentials.session_of_token(token, SECRET) is None
        assert credentials.person_of(token) is None
