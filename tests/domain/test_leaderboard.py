"""Every page of every board, held against a recomputation from attendance alone."""

from collections.abc import Sequence
from datetime import date, timedelta
from random import Random
from uuid import UUID

import pytest
from flask import Flask

from tests import factories
from tests.conftest import SUNDAY, People
from tests.domain.plain_boards import PlainBoards, PlainLine
from tests.factories import attend, weekly
from webapp.database import db, writing
from webapp.domain.attendance import marking
from webapp.domain.camps.calendar import Site
from webapp.domain.evaluation import verify
from webapp.domain.leaderboard import boards
from webapp.domain.leaderboard.boards import Line
from webapp.domain.leaderboard.snapshots import ALL_TIME, EVERYWHERE, RECENT, Key
from webapp.domain.models.attendance import CampRole
from webapp.domain.models.board import Board
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Person, Role
from webapp.domain.schedule import schedule


def plainly(lines: Sequence[Line]) -> list[PlainLine]:
    return [
        PlainLine(line.rank, line.person.book_no, line.visits, line.longest_streak, len(line.badges)) for line in lines
    ]


def pages(board: Board, size: int) -> list[PlainLine]:
    """A whole board, read page by page until one is empty."""
    read: list[PlainLine] = []
    while page := plainly(boards.lines(board, offset=len(read), limit=size)):
        read += page
    return read


def compare(size: int) -> None:
    """All boards and orders, page by page; who stands where; how many they are."""
    plain, chance = PlainBoards(), Random(size)
    for key in plain.boards():
        expected, board = plain.lines(key), factories.board(key)
        assert pages(board, size) == expected, key
        assert board.size == len(expected)
        places = {line.book_no: place for place, line in enumerate(expected)}
        for person in chance.sample(list(plain.people.values()), min(3, len(plain.people))):
            place = places.get(person.book_no)
            assert boards.place_of(person, board) == (None if place is None else place + 1)
            near = [] if place is None else expected[max(0, place - boards.NEIGHBOURS) :][: min(place, 3) + 4]
            assert plainly(boards.neighbourhood(person, board)) == near
    years = {key.period for key in plain.boards() if key.period > RECENT and plain.lines(key)}
    held = {day.year for days in plain.calendar.values() for day in days}
    assert boards.years() == sorted(held, reverse=True)
    assert years <= held


def test_equal_visits_share_a_rank_and_stand_by_name(people: People) -> None:
    camps = weekly(3)
    zoe, bala = factories.person("Zoë Fernandes"), factories.person("Bala Iyer")
    attend(people.volunteer, camps, people.coordinator)
    attend(zoe, camps[:2], people.coordinator)
    attend(bala, camps[1:], people.coordinator)
    attend(people.coordinator, camps, people.admin)
    board = factories.board()
    lines = boards.lines(board)
    assert [(line.rank, line.person.name, line.visits, line.longest_streak) for line in lines] == [
        (1, "Asha Rao", 3, 3),
        (2, "Bala Iyer", 2, 2),
        (2, "Zoë Fernandes", 2, 2),
        (4, "Imran Pasha", 0, 0),
    ]
    assert [badge.name for badge in lines[0].badges] == ["First Step", "Certified Volunteer", "On a Roll"]
    assert board.size == 4


def test_a_rank_holds_across_slices(people: People) -> None:
    board = factories.board()
    whole = boards.lines(board)
    assert [boards.lines(board, offset=place, limit=1)[0] for place in range(len(whole))] == whole
    assert [exported.line for exported in boards.export(board)] == whole


def test_only_active_volunteers(people: People) -> None:
    factories.person("Another Admin", role=Role.ADMIN)
    assert {line.person.name for line in boards.lines(factories.board())} == {"Asha Rao", "Imran Pasha"}


def random_life(seed: int, number: int = 12, camps: int = 20) -> list[Person]:
    """People of some names twice, who came to camps of two sites over three years; some are on no board.

    The calendar does not change after the first mark: badges that only an earlier one gave would stay.
    """
    chance = Random(seed)
    by = factories.person("Ravi Gowda", role=Role.COORDINATOR)
    sites = [factories.site("Hosur"), factories.site("Queens", "America/New_York")]
    names = ["Asha Rao", "Āsha Rao", "asha rao", "Imran Pasha", "Zoë", "Bala-Iyer", "Bala Iyer", "B. Iyer", "李", "Ö"]
    people = [factories.person(chance.choice(names)) for _ in range(number)]
    made = []
    for place in range(camps):
        day = SUNDAY.date() - timedelta(days=chance.randrange(800))
        made.append(factories.camp(name=f"Camp {place}", at=chance.choice(sites), on=day))
    with writing():
        schedule.cancel_camp(made[3])
    for person in people:
        zeal = chance.random()
        for camp in made:
            if camp.is_cancelled or chance.random() > zeal:
                continue
            with writing():
                match chance.randrange(8):
                    case 0:
                        marking.excuse(person, camp, by=by)
                    case 1:
                        marking.mark_present(person, camp, by=by, camp_role=CampRole.DOCTOR)
                    case 2:
                        marking.sign_up(person, camp)
                    case _:
                        marking.mark_present(person, camp, by=by)
    with writing():
        accounts.opt_out(people[0])
        accounts.deactivate(people[1])
    return people


@pytest.mark.parametrize(("seed", "size"), [(1, 1), (3, 5)])
def test_every_page_of_every_board_is_what_attendance_gives(app: Flask, seed: int, size: int) -> None:
    random_life(seed)
    compare(size)


@pytest.mark.parametrize("number", [0, 1, 3])
def test_few_people(app: Flask, number: int) -> None:
    by = factories.person("Ravi Gowda", role=Role.COORDINATOR)
    camps = weekly(3)
    for place in range(number):
        attend(factories.person(f"Person {place}"), camps[place:], by)
    compare(2)
    board = factories.board()
    assert board.size == number
    assert boards.neighbourhood(by, board) == []


def test_pages_that_are_not_there(people: People) -> None:
    board = factories.board()
    assert boards.lines(board, offset=2) == []
    assert boards.lines(board, offset=10**6) == []
    empty = factories.board(Key(EVERYWHERE, 1999))
    assert boards.lines(empty) == []
    assert boards.lines(factories.board(Key(UUID(int=7), ALL_TIME))) == []
    assert boards.place_of(people.volunteer, empty) is None
    assert list(boards.years()) == []


def test_whoever_opts_out_twice_is_counted_out_once(people: People) -> None:
    asha = db.session.merge(people.volunteer)
    for out in (True, True, False, False):
        with writing():
            accounts.opt_out(asha, out)
        assert factories.board().size == (1 if out else 2)


def test_who_opts_out_with_an_old_page_is_taken_as_they_are_now(people: People) -> None:
    """Their account was switched off between the read and the wish."""
    asha = db.session.merge(people.volunteer)
    with writing():
        accounts.opt_out(asha)
    with db.engine.execution_options(writing=True).begin() as other:
        other.execute(Person.__table__.update().where(Person.id == asha.id).values(is_active=False))  # type: ignore[attr-defined]
    assert asha.is_active
    with writing():
        accounts.opt_out(asha, False)
    assert [line.person.name for line in boards.lines(factories.board())] == ["Imran Pasha"]
    with writing():
        assert list(verify.differences()) == []


def test_sites_and_dates_of_the_year(app: Flask) -> None:
    """What is earned at one site on one date is on that site's boards and that year's, and no others."""
    by = factories.person("Ravi Gowda", role=Role.COORDINATOR)
    asha = factories.person("Asha Rao")
    hosur, queens = factories.site("Hosur"), factories.site("Queens", "America/New_York")
    attend(asha, [factories.camp(at=hosur, on=date(2024, 12, 29)), factories.camp(at=hosur, on=date(2025, 1, 5))], by)
    attend(asha, [factories.camp(at=queens, on=date(2025, 1, 5))], by)

    def figures(site: Site | None, period: int) -> tuple[int, int, list[str]]:
        (line,) = boards.lines(factories.board(Key(site.id if site else EVERYWHERE, period)))
        return line.visits, line.longest_streak, [badge.name for badge in line.badges]

    third = ["Certified Volunteer"]
    assert figures(None, ALL_TIME) == (3, 2, ["First Step", *third])
    assert figures(None, 2024) == (1, 1, ["First Step"])
    assert figures(None, 2025) == (2, 1, third)
    assert figures(hosur, ALL_TIME)[:2] == (2, 2)
    assert figures(hosur, 2025)[:2] == (1, 1)
    assert figures(queens, 2025)[:2] == (1, 1)
    assert boards.lines(factories.board(Key(queens.id, 2024))) == []
    compare(2)
