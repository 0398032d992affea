import pytest

from tests import factories
from webapp.database import db
from webapp.domain.attendance import marking, roll_call
from webapp.domain.errors import ConflictError, InvalidError
from webapp.domain.people import accounts


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("ang", ["Ángel Bossio"]),
        ("ÁNGEL", ["Ángel Bossio"]),
        ("srinivasa", ["Śrīnivāsa Rao"]),
        ("rao sri", ["Śrīnivāsa Rao"]),
        ("muller", ["Jürgen Müller"]),
        ("  bossio  ", ["Ángel Bossio"]),
        ("12", ["Nagaraj Hegde", "Jürgen Müller"]),
        ("1", ["Ángel Bossio", "Nagaraj Hegde", "Jürgen Müller"]),
        ("आशा राव", ["आशा राव"]),
        ("100%", []),
        ("_", []),
        ("nobody", []),
    ],
)
def test_people_are_found_by_part_of_the_name_and_by_book_number(query: str, names: list[str]) -> None:
    for book_no, name in (
        (1, "Ángel Bossio"),
        (12, "Nagaraj Hegde"),
        (123, "Jürgen Müller"),
        (20, "Śrīnivāsa Rao"),
        (30, "आशा राव"),
    ):
        factories.person(name, book_no=book_no)
    assert [person.name for person in db.session.scalars(accounts.find(query))] == names


def test_the_roll_finds_who_signed_up_first_and_leaves_out_the_inactive() -> None:
    late, early, gone = factories.person("Rao A"), factories.person("Rao Z"), factories.person("Rao X", is_active=False)
    camp = factories.camp()
    marking.sign_up(early, camp)
    assert [row.person for row in roll_call.roll(camp, "rao")] == [early, late]
    assert [row.person for row in roll_call.roll(camp)] == [early]
    assert gone.is_active is False


def test_a_book_number_is_given_and_never_twice() -> None:
    first = factories.person("A", book_no=41)
    assert factories.person("B").book_no == 42
    with pytest.raises(ConflictError, match="belongs to somebody"):
        accounts.add_person("C", book_no=first.book_no)


@pytest.mark.parametrize("name", ["", "   ", "x" * 121, "a\u0000b", "a\u202eb"])
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidError):
        accounts.add_person(name)
