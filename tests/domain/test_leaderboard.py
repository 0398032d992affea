"""Every page of every board, held against a recomputation from attendance alone."""

import csv
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import product
from random import Random
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select

from tests import factories
from tests.conftest import SUNDAY, People
from tests.domain.plain_boards import PlainBoards, PlainLine
from tests.factories import attend, weekly
from webapp import clock
from webapp.database import db, writing
from webapp.domain import accounts, attendance, leaderboard, settling, standings
from webapp.domain.accounts import Person, Role
from webapp.domain.camps import Site
from webapp.domain.leaderboard import Line
from webapp.domain.records import CampRole
from webapp.domain.standings import ALL_TIME, EVERYWHERE, OVERALL, RECENT, Board, Measure


def plainly(lines: Sequence[Line]) -> list[PlainLine]:
    return [
        PlainLine(line.rank, line.person.book_no, line.visits, line.longest_streak, len(line.badges)) for line in lines
    ]


def pages(board: Board, measure: Measure, size: int) -> list[PlainLine]:
    """A whole board, read page by page until one is empty."""
    read: list[PlainLine] = []
    while page := plainly(leaderboard.lines(board, measure, offset=len(read), limit=size)):
        read += page
    return read


def compare(size: int) -> None:
    """All boards and orders, page by page; who stands where; how many they are."""
    plain, chance = PlainBoards(), Random(size)
    for board, measure in product(plain.boards(), Measure):
        expected = plain.lines(board, measure)
        assert pages(board, measure, size) == expected, (board, measure)
        assert leaderboard.size(board) == len(expected)
        places = {line.book_no: place for place, line in enumerate(expected)}
        for person in chance.sample(list(plain.people.values()), min(3, len(plain.people))):
            place = places.get(person.book_no)
            assert leaderboard.place_of(person, board, measure) == place
            near = [] if place is None else expected[max(0, place - leaderboard.NEIGHBOURS) :][: min(place, 3) + 4]
            assert plainly(leaderboard.neighbourhood(person, board, measure)) == near
    years = {board.period for board in plain.boards() if board.period > RECENT and plain.lines(board, Measure.VISITS)}
    assert list(leaderboard.years()) == sorted(years, reverse=True)


def test_equal_visits_share_a_rank_and_stand_by_name(people: People) -> None:
    camps = weekly(3)
    zoe, bala = factories.person("Zoë Fernandes"), factories.person("Bala Iyer")
    attend(people.volunteer, camps, people.coordinator)
    attend(zoe, camps[:2], people.coordinator)
    attend(bala, camps[1:], people.coordinator)
    attend(people.coordinator, camps, people.admin)
    lines = leaderboard.lines()
    assert [(line.rank, line.person.name, line.visits, line.longest_streak) for line in lines] == [
        (1, "Asha Rao", 3, 3),
        (2, "Bala Iyer", 2, 2),
        (2, "Zoë Fernandes", 2, 2),
        (4, "Imran Pasha", 0, 0),
    ]
    assert [badge.name for badge in lines[0].badges] == ["First Step", "Certified Volunteer", "On a Roll"]
    assert leaderboard.size() == 4


def test_a_rank_holds_across_slices(people: People) -> None:
    whole = leaderboard.lines()
    assert [leaderboard.lines(offset=place, limit=1)[0] for place in range(len(whole))] == whole
    assert [exported.line for exported in leaderboard.export()] == whole


def test_only_active_volunteers(people: People) -> None:
    factories.person("Another Admin", role=Role.ADMIN)
    assert {line.person.name for line in leaderboard.lines()} == {"Asha Rao", "Imran Pasha"}


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
        attendance.cancel_camp(made[3])
    for person in people:
        zeal = chance.random()
        for camp in made:
            if camp.is_cancelled or chance.random() > zeal:
                continue
            with writing():
                match chance.randrange(8):
                    case 0:
                        attendance.excuse(person, camp, by=by)
                    case 1:
                        attendance.mark_present(person, camp, by=by, camp_role=CampRole.DOCTOR)
                    case 2:
                        attendance.sign_up(person, camp)
                    case _:
                        attendance.mark_present(person, camp, by=by)
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
    assert leaderboard.size() == number
    assert leaderboard.neighbourhood(by) == []


def test_pages_that_are_not_there(people: People) -> None:
    assert leaderboard.lines(offset=2) == []
    assert leaderboard.lines(offset=10**6) == []
    assert leaderboard.lines(Board(EVERYWHERE, 1999)) == []
    assert leaderboard.lines(Board(UUID(int=7), ALL_TIME)) == []
    assert leaderboard.place_of(people.volunteer, Board(EVERYWHERE, 1999)) is None
    assert leaderboard.years() == []


def test_8482_people_of_whom_thousands_share_a_rank(app: Flask, data: object) -> None:
    """Every page of every order of all time and of two years; some dozens of people."""
    db.session.remove()
    with clock.stopped_at(SUNDAY.replace(month=12)):
        assert app.test_cli_runner().invoke(args=["import", f"{data}/worldcup_squads.csv"]).exit_code == 0
        plain = PlainBoards()
        chance = Random(8482)
        held = sorted({day.year for days in plain.calendar.values() for day in days})
        periods = (ALL_TIME, held[0], held[-1], RECENT)
        for period, measure in product(periods, Measure):
            board = Board(EVERYWHERE, period)
            expected = plain.lines(board, measure)
            assert pages(board, measure, 50 if period == ALL_TIME else 500) == expected
            assert leaderboard.size(board) == len(expected)
            for place in chance.sample(range(len(expected)), min(8, len(expected))):
                person = accounts.by_book_no(expected[place].book_no)
                assert person
                assert leaderboard.place_of(person, board, measure) == place
                first = max(0, place - leaderboard.NEIGHBOURS)
                near = expected[first : place + 1 + leaderboard.NEIGHBOURS]
                assert plainly(leaderboard.neighbourhood(person, board, measure)) == near
        overall = plain.lines(OVERALL, Measure.VISITS)
        assert len(overall) == 8482
        assert max([line.rank for line in overall].count(rank) for rank in {line.rank for line in overall}) > 4000


# --- who is on no leaderboard --------------------------------------------------------------------


def names_on(board: Board) -> list[set[str]]:
    """The names on a board, once for each order."""
    return [{line.person.name for line in leaderboard.lines(board, measure)} for measure in Measure]


def exported(app: Flask) -> list[str]:
    done = app.test_cli_runner().invoke(args=["standings"])
    assert done.exit_code == 0
    return [row["name"] for row in csv.DictReader(done.stdout.splitlines())]


def leave(person: Person, how: str) -> None:
    with writing():
        if how == "opted out":
            accounts.opt_out(person)
        elif how == "switched off":
            accounts.deactivate(person)
        else:
            person.role = Role(how)
            db.session.flush()
            standings.relist(person)


@pytest.mark.parametrize("how", ["opted out", "switched off", "coordinator", "admin"])
def test_who_is_on_no_leaderboard_is_in_nothing_of_any(app: Flask, people: People, how: str) -> None:
    asha, imran = (db.session.merge(each) for each in (people.volunteer, people.other))
    camps = [factories.camp(weeks) for weeks in (60, 2, 1, 0)]
    attend(asha, camps, people.coordinator)
    attend(imran, camps[2:], people.coordinator)
    site = camps[0].site_id
    periods = (ALL_TIME, RECENT, 2025, 2026)
    boards = [Board(of, period) for of in (EVERYWHERE, site) for period in periods]
    held = factories.badge_names(asha)
    before = {board: plainly(leaderboard.lines(board)) for board in boards}
    assert before[OVERALL][0].book_no == asha.book_no

    leave(asha, how)
    for board in boards:
        there = {"Imran Pasha"} if board.period != 2025 else set()
        assert names_on(board) == [there] * 3
        assert leaderboard.size(board) == len(there)
        assert leaderboard.place_of(asha, board) is None
        assert leaderboard.neighbourhood(asha, board) == []
        assert {line.person.name for line in leaderboard.neighbourhood(imran, board)} == there
        assert [line.rank for line in leaderboard.lines(board)] == [1] * len(there)
    assert accounts.find_listed("asha", 9) == [imran]  # Imr-an P-asha
    assert accounts.find_listed(str(asha.book_no), 9) == []
    assert exported(app) == ["Imran Pasha"]
    assert factories.badge_names(asha) == held
    assert len(standing_rows(asha)) == 8
    with writing():
        assert list(settling.differences()) == []

    if how == "opted out":
        attend(asha, [factories.camp(3)], people.coordinator)  # what is marked meanwhile counts afterwards
        assert names_on(OVERALL) == [{"Imran Pasha"}] * 3
        with writing():
            accounts.opt_out(asha, False)
        compare(3)
        line = leaderboard.lines()[0]
        assert (line.person, line.visits, line.rank) == (asha, 5, 1)
        assert exported(app) == ["Asha Rao", "Imran Pasha"]
        assert asha in accounts.find_listed("asha", 9)


def standing_rows(person: Person) -> Sequence[standings.Standing]:
    return db.session.scalars(select(standings.Standing).where(standings.Standing.person_id == person.id)).all()


def test_whoever_opts_out_twice_is_counted_out_once(people: People) -> None:
    asha = db.session.merge(people.volunteer)
    for out in (True, True, False, False):
        with writing():
            accounts.opt_out(asha, out)
        assert leaderboard.size() == (1 if out else 2)


def test_the_one_scope_says_the_same_in_python_and_in_sql(app: Flask) -> None:
    made = []
    with writing():
        for role, is_active, opted_out in product(Role, (True, False), (True, False)):
            person = factories.unsaved(f"{role} {is_active} {opted_out}")
            person.role, person.is_active, person.opted_out = role, is_active, opted_out
            made.append(person)
    found = set(db.session.scalars(select(Person).where(accounts.listed())))
    assert found == {person for person in made if person.is_listed}
    assert [person.name for person in found] == ["volunteer True False"]


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
    assert names_on(OVERALL) == [{"Imran Pasha"}] * 3
    with writing():
        assert list(settling.differences()) == []


def test_sites_and_dates_of_the_year(app: Flask) -> None:
    """What is earned at one site on one date is on that site's boards and that year's, and no others."""
    by = factories.person("Ravi Gowda", role=Role.COORDINATOR)
    asha = factories.person("Asha Rao")
    hosur, queens = factories.site("Hosur"), factories.site("Queens", "America/New_York")
    attend(asha, [factories.camp(at=hosur, on=date(2024, 12, 29)), factories.camp(at=hosur, on=date(2025, 1, 5))], by)
    attend(asha, [factories.camp(at=queens, on=date(2025, 1, 5))], by)

    def figures(site: Site | None, period: int) -> tuple[int, int, list[str]]:
        (line,) = leaderboard.lines(Board(site.id if site else EVERYWHERE, period))
        return line.visits, line.longest_streak, [badge.name for badge in line.badges]

    third = ["Certified Volunteer"]
    assert figures(None, ALL_TIME) == (3, 2, ["First Step", *third])
    assert figures(None, 2024) == (1, 1, ["First Step"])
    assert figures(None, 2025) == (2, 1, third)
    assert figures(hosur, ALL_TIME)[:2] == (2, 2)
    assert figures(hosur, 2025)[:2] == (1, 1)
    assert figures(queens, 2025)[:2] == (1, 1)
    assert leaderboard.lines(Board(queens.id, 2024)) == []
    compare(2)
