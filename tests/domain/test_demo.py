from datetime import timedelta

import pytest
from sqlalchemy import func, select

from tests import factories
from tests.conftest import SUNDAY
from webapp import clock
from webapp.database import db, writing
from webapp.domain import demo
from webapp.domain.attendance import roll_call
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import Camp
from webapp.domain.errors import ConflictError
from webapp.domain.leaderboard import boards
from webapp.domain.models.attendance import State
from webapp.domain.people import credentials
from webapp.domain.people.accounts import Person, Role, by_book_no


def seed(*, clear: bool = False, erase_real_data: bool = False) -> str:
    with writing():
        return demo.seed(clear=clear, erase_real_data=erase_real_data)


def picture() -> list[tuple[int, str, int, int]]:
    lines = boards.lines(factories.board(), limit=100)
    return [(line.rank, line.person.name, line.visits, line.longest_streak) for line in lines]


def test_a_year_of_camps_sixty_people_and_one_camp_today() -> None:
    assert "volunteer123" in seed()
    assert db.session.scalar(select(func.count()).select_from(Person)) in range(55, 66)
    assert db.session.scalar(select(func.count()).select_from(Camp)) == 56  # three are announced
    (today,) = calendar.camps_of_today()
    counts = roll_call.counts(today)
    assert counts[State.EXPECTED] == counts.total() > 30
    for book_no, (name, role, password) in demo.ACCOUNTS.items():
        person = credentials.authenticate(book_no, password)
        assert person is not None
        assert (person.name, person.role) == (name, role)
    different = {visits for _, _, visits, _ in picture()}
    assert {0, 50} <= different
    assert len(different) > 20


def test_the_same_for_everybody_and_once() -> None:
    seed()
    first = picture()
    assert "there already" in seed()
    assert picture() == first
    seed(clear=True)
    assert picture() == first


def test_a_demo_of_another_day_gets_a_camp_today() -> None:
    seed()
    with clock.stopped_at(SUNDAY + timedelta(days=3)):
        assert calendar.camps_of_today() == []
        assert "has a camp today" in seed()
        assert len(calendar.camps_of_today()) == 1


def test_real_data_is_left_alone_unless_told_twice() -> None:
    factories.person("Real Person", role=Role.ADMIN)
    assert "left it alone" in seed()
    with pytest.raises(ConflictError, match="erase"):
        seed(clear=True)
    assert db.session.scalar(select(func.count()).select_from(Person)) == 1
    seed(clear=True, erase_real_data=True)
    assert by_book_no(2) is not None


def test_a_demo_with_somebody_real_in_it_is_real() -> None:
    seed()
    factories.person("Real Person")
    with pytest.raises(ConflictError):
        seed(clear=True)
