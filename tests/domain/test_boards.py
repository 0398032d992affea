"""Boards by hand: their orders, who is on none, and the neighbourhood of a place."""

import csv
from collections.abc import Callable
from datetime import date, timedelta
from itertools import product
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select

from tests import factories
from tests.conftest import People
from tests.factories import attend
from webapp.database import db, writing
from webapp.domain.camps import calendar
from webapp.domain.evaluation import verify
from webapp.domain.leaderboard import boards
from webapp.domain.leaderboard.boards import Line
from webapp.domain.leaderboard.snapshots import ALL_TIME, EVERYWHERE, OVERALL, RECENT, Key, RankBy
from webapp.domain.models.board import Board
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Person, Role

PERIODS = (ALL_TIME, RECENT, 2025, 2026)


@pytest.fixture
def board(people: People) -> list[Person]:
    """Six listed people at two sites over two years; figures that put each rank_by in another order."""
    main = calendar.default_site()
    south = factories.site("South")
    old = [factories.camp(at=main, on=date(2025, 6, 1) + timedelta(weeks=number)) for number in range(6)]
    new = [factories.camp(at=south, on=date(2026, 2, 1) + timedelta(weeks=number)) for number in range(4)]
    charu, deepa, esther = (factories.person(name) for name in ("Charu Sen", "Deepa Nair", "Esther Paul"))
    bala = factories.person("Bala Iyer")
    attend(people.volunteer, [*old[:2], old[3], old[5], *new[:2]], people.coordinator)  # 6, run 2
    attend(people.other, new, people.coordinator)  # 4, run 4
    attend(bala, new, people.coordinator)  # the same
    attend(charu, [*old[::2], new[0], new[2]], people.coordinator)  # 5, run 1
    attend(deepa, old[:3], people.coordinator)  # 3, run 3
    return [people.volunteer, people.other, bala, charu, deepa, esther]


FIGURE: dict[RankBy, Callable[[Line], int]] = {
    RankBy.VISITS: lambda line: line.visits,
    RankBy.LONGEST_STREAK: lambda line: line.longest_streak,
    RankBy.BADGES: lambda line: len(line.badges),
}


def lines(key: Key = OVERALL) -> list[Line]:
    """The lines of a board that is built now."""
    return boards.lines(factories.board(key))


def shown(key: Key) -> list[tuple[int, str, int]]:
    """Rank, first name and figure of each line of a board that is built now."""
    return [(line.rank, line.person.name.split()[0], FIGURE[key.rank_by](line)) for line in lines(key)]


ORDERS: list[tuple[str, int, RankBy, list[tuple[int, str, int]]]] = [
    (
        "",
        ALL_TIME,
        RankBy.VISITS,
        [(1, "Asha", 6), (2, "Charu", 5), (3, "Bala", 4), (3, "Imran", 4), (5, "Deepa", 3), (6, "Esther", 0)],
    ),
    (
        "",
        ALL_TIME,
        RankBy.LONGEST_STREAK,
        [(1, "Bala", 4), (1, "Imran", 4), (3, "Deepa", 3), (4, "Asha", 2), (5, "Charu", 1), (6, "Esther", 0)],
    ),
    (
        # Asha: First, Certified, Consistent, Bronze. Three visits running: First, Certified, On a Roll.
        "",
        ALL_TIME,
        RankBy.BADGES,
        [(1, "Asha", 4), (2, "Bala", 3), (2, "Charu", 3), (2, "Deepa", 3), (2, "Imran", 3), (6, "Esther", 0)],
    ),
    ("South", ALL_TIME, RankBy.VISITS, [(1, "Bala", 4), (1, "Imran", 4), (3, "Asha", 2), (3, "Charu", 2)]),
    ("South", ALL_TIME, RankBy.LONGEST_STREAK, [(1, "Bala", 4), (1, "Imran", 4), (3, "Asha", 2), (4, "Charu", 1)]),
    ("South", ALL_TIME, RankBy.BADGES, [(1, "Bala", 3), (1, "Imran", 3), (3, "Asha", 2), (4, "Charu", 1)]),
    ("", 2025, RankBy.VISITS, [(1, "Asha", 4), (2, "Charu", 3), (2, "Deepa", 3)]),
    ("", 2025, RankBy.LONGEST_STREAK, [(1, "Deepa", 3), (2, "Asha", 2), (3, "Charu", 1)]),
    ("", 2025, RankBy.BADGES, [(1, "Deepa", 3), (2, "Asha", 2), (2, "Charu", 2)]),
    ("", 2026, RankBy.VISITS, [(1, "Bala", 4), (1, "Imran", 4), (3, "Asha", 2), (3, "Charu", 2)]),
    ("Main site", 2025, RankBy.VISITS, [(1, "Asha", 4), (2, "Charu", 3), (2, "Deepa", 3)]),
    ("Main site", 2026, RankBy.VISITS, []),
    ("South", 2025, RankBy.BADGES, []),
]


@pytest.mark.usefixtures("board")
@pytest.mark.parametrize(("site", "period", "rank_by", "expected"), ORDERS)
def test_orders(site: str, period: int, rank_by: RankBy, expected: list[tuple[int, str, int]]) -> None:
    key = Key({each.name: each.id for each in calendar.sites()}[site] if site else EVERYWHERE, period, rank_by)
    assert shown(key) == expected
    board = factories.board(key)
    assert board.size == len(expected)
    whole = boards.lines(board)
    pages = [boards.lines(board, offset=place, limit=1) for place in range(len(whole) + 1)]
    assert pages == [*([line] for line in whole), []]
    assert boards.lines(board, offset=1, limit=2) == whole[1:3]
    for place, line in enumerate(whole, 1):
        assert boards.place_of(line.person, board) == place


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("rank_by", RankBy)
def test_few_people(rank_by: RankBy) -> None:
    key = Key(rank_by=rank_by)
    board = factories.board(key)
    assert (boards.lines(board), board.size, list(boards.years())) == ([], 0, [])
    assert list(boards.export(board)) == []
    added = [factories.person("Bala Iyer")]
    board = factories.board(key)
    assert [(line.rank, line.person) for line in boards.lines(board)] == [(1, added[0])]
    assert [line.person for line in boards.neighbourhood(added[0], board)] == added
    assert board.size == 1
    added += [factories.person("Asha Rao"), factories.person("Bala Iyer")]
    asha, first, second = added[1], added[0], added[2]
    board = factories.board(key)
    assert [(line.rank, line.person) for line in boards.lines(board)] == [(1, asha), (1, first), (1, second)]
    assert board.size == 3
    assert [boards.place_of(each, board) for each in (asha, first, second)] == [1, 2, 3]


def standing_names(app: Flask) -> list[str]:
    db.session.remove()
    result = app.test_cli_runner().invoke(args=["standings"])
    assert result.exit_code == 0, result.output
    return [line["name"] for line in csv.DictReader(result.stdout.splitlines())]


def change(person_id: UUID, **values: object) -> None:
    with writing():
        person = db.session.get_one(Person, person_id)
        if "opted_out" in values:
            accounts.opt_out(person, bool(values["opted_out"]))
        elif values.get("is_active") is False:
            accounts.deactivate(person)
        else:  # as a correction in the database would be
            for name, value in values.items():
                setattr(person, name, value)


@pytest.mark.parametrize(
    ("off", "back"),
    [
        ({"opted_out": True}, {"opted_out": False}),
        ({"is_active": False}, {"is_active": True}),
        ({"role": Role.COORDINATOR}, {"role": Role.VOLUNTEER}),
        ({"role": Role.ADMIN}, {"role": Role.VOLUNTEER}),
    ],
    ids=lambda values: str(values),
)
def test_who_is_on_no_leaderboard_is_nowhere(
    app: Flask, board: list[Person], off: dict[str, object], back: dict[str, object]
) -> None:
    gone = board[1]
    sites = EVERYWHERE, *(each.id for each in calendar.sites())
    keys = [Key(*each) for each in product(sites, PERIODS, RankBy)]

    def everything() -> list[object]:
        return [(key, [(line.rank, line.person.id, line.visits) for line in lines(key)]) for key in keys]

    gone_id, beside_id = gone.id, board[2].id
    before, names = everything(), standing_names(app)
    kept = [factories.board(key) for key in keys]
    change(gone_id, **off)
    person, beside = db.session.get_one(Person, gone_id), db.session.get_one(Person, beside_id)

    def is_nowhere_on(snapshot: Board) -> None:
        assert person not in [line.person for line in boards.lines(snapshot)]
        assert boards.place_of(person, snapshot) is None
        assert boards.neighbourhood(person, snapshot) == []
        assert person not in [line.person for line in boards.neighbourhood(beside, snapshot)]
        assert person not in [exported.line.person for exported in boards.export(snapshot)]

    for snapshot in kept:  # built before
        is_nowhere_on(snapshot)
    for key in keys:
        snapshot = factories.board(key)
        is_nowhere_on(snapshot)
        assert snapshot.size == len(boards.lines(snapshot))
    assert factories.board().size == 5
    assert person not in accounts.find_listed("", 50)
    assert accounts.find_listed("imran", 50) == []
    assert standing_names(app) == [name for name in names if name != "Imran Pasha"]
    # Equal with somebody before; alone now, and nobody's rank counts who is not seen.
    assert [rank for rank, _, _ in shown(OVERALL)] == [1, 2, 3, 4, 5]
    with writing():
        assert list(verify.differences()) == []
    change(gone_id, **back)
    assert everything() == before
    assert standing_names(app) == names
    assert [each.name for each in accounts.find_listed("imran", 50)] == ["Imran Pasha"]
    with writing():
        assert list(verify.differences()) == []


def test_a_mark_of_somebody_who_opted_out_counts_when_they_are_back(board: list[Person], people: People) -> None:
    change(people.other.id, opted_out=True)
    attend(
        db.session.get_one(Person, people.other.id),
        [factories.camp(name="Today", at=calendar.default_site())],
        people.coordinator,
    )
    assert [name for _, name, _ in shown(OVERALL)] == ["Asha", "Charu", "Bala", "Deepa", "Esther"]
    change(people.other.id, opted_out=False)
    assert shown(OVERALL)[1:3] == [(2, "Charu", 5), (2, "Imran", 5)]


@pytest.mark.usefixtures("app")
def test_listed_says_one_thing_in_python_and_in_sql() -> None:
    states = list(product(Role, (True, False), (True, False)))
    for role, is_active, opted_out in states:
        person = factories.person(f"{role} {is_active} {opted_out}", role=role, is_active=is_active)
        with writing():
            accounts.opt_out(person, opted_out)
    found = list(db.session.execute(select(Person, accounts.listed())).tuples())
    assert len(found) == len(states)
    for person, in_sql in found:
        assert person.is_listed is bool(in_sql)
    assert [person.name for person, _ in found if person.is_listed] == ["volunteer True False"]
    assert [line.person.name for line in lines()] == ["volunteer True False"]
    assert [person.name for person in accounts.find_listed("", 50)] == ["volunteer True False"]


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("rank_by", RankBy)
def test_the_neighbourhood_of_each_place(rank_by: RankBy) -> None:
    added = [factories.person(f"Person {letter}") for letter in "ABCDEFGHIJ"]
    board = factories.board(Key(rank_by=rank_by))
    around = {0: (0, 4), 1: (0, 5), 3: (0, 7), 4: (1, 8), 5: (2, 9), 6: (3, 10), 8: (5, 10), 9: (6, 10)}
    for place, (first, end) in around.items():
        near = boards.neighbourhood(added[place], board)
        assert [line.person for line in near] == added[first:end]
        assert {line.rank for line in near} == {1}


def test_the_neighbourhood_has_the_ranks_of_the_whole(board: list[Person]) -> None:
    for rank_by in RankBy:
        snapshot = factories.board(Key(rank_by=rank_by))
        whole = boards.lines(snapshot)
        for place, line in enumerate(whole):
            assert boards.neighbourhood(line.person, snapshot) == whole[max(0, place - 3) : place + 4]
