"""The boards of a year and of the last twelve months, where days pass: leap years, New Year, two time zones."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

import pytest

from tests import factories
from tests.conftest import People
from tests.domain.plain_boards import PlainBoards
from tests.factories import attend
from webapp import clock
from webapp.database import writing
from webapp.domain.camps.calendar import Site, first_of_recent
from webapp.domain.errors import ConflictError
from webapp.domain.evaluation import verify
from webapp.domain.leaderboard import boards, snapshots
from webapp.domain.leaderboard.boards import Line
from webapp.domain.leaderboard.snapshots import EVERYWHERE, RECENT, Key
from webapp.domain.people.accounts import Role


@pytest.mark.parametrize(
    ("today", "first"),
    [
        (date(2027, 2, 28), date(2026, 3, 1)),
        (date(2028, 2, 28), date(2027, 3, 1)),
        (date(2028, 2, 29), date(2027, 3, 1)),  # the date a year ago that is not there is its 28th
        (date(2028, 3, 1), date(2027, 3, 2)),
        (date(2029, 2, 28), date(2028, 2, 29)),
        (date(2029, 3, 1), date(2028, 3, 2)),
        (date(2027, 1, 1), date(2026, 1, 2)),
        (date(2026, 12, 31), date(2026, 1, 1)),
    ],
)
def test_the_first_date_of_the_last_twelve_months(today: date, first: date) -> None:
    assert first_of_recent(today) == first


def test_no_date_comes_back_and_no_day_is_skipped() -> None:
    day, before = date(2026, 1, 1), first_of_recent(date(2025, 12, 31))
    while day < date(2033, 1, 1):
        first = first_of_recent(day)
        assert timedelta(0) <= first - before <= timedelta(2)
        assert 365 <= (day - first).days + 1 <= 366
        day, before = day + timedelta(1), first


def instant_of(when: Sequence[int]) -> datetime:
    year, month, day, hour, *minute = when
    return datetime(year, month, day, hour, minute[0] if minute else 0, tzinfo=UTC)


@contextmanager
def at(*when: int) -> Iterator[None]:
    """The clock stopped at a year, month, day, hour and perhaps minute of UTC."""
    with clock.stopped_at(instant_of(when)):
        yield


def visits(key: Key) -> dict[str, int]:
    """Who is on a board with how many visits; the board is as long as it says, and as the plain one."""
    board = factories.board(key)
    lines = boards.lines(board)
    assert board.size == len(lines)
    plain = [(line.rank, line.book_no, line.visits) for line in PlainBoards().lines(key)]
    assert [(line.rank, line.person.book_no, line.visits) for line in lines] == plain
    return {line.person.name: line.visits for line in lines}


def agrees() -> bool:
    with writing():
        return list(verify.differences()) == []


def lines_of(key: Key) -> list[Line]:
    return boards.lines(factories.board(key))


class Two:
    """A site in India and one in the United States, each with one volunteer of its own."""

    def __init__(self) -> None:
        self.india = factories.site("Hoskote", "Asia/Kolkata")
        self.america = factories.site("Newark", "America/New_York")
        self.asha = factories.person("Asha Rao")
        self.bob = factories.person("Bob Smith")
        self.by = factories.person("Ravi Gowda", role=Role.COORDINATOR)

    def boards(self, period: int) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
        """Who is on the boards of a period: in India, in America, everywhere."""
        return (
            visits(Key(self.india.id, period)),
            visits(Key(self.america.id, period)),
            visits(Key(EVERYWHERE, period)),
        )

    def come(self, site: Site, *days: date) -> None:
        who = self.asha if site is self.india else self.bob
        attend(who, [factories.camp(at=site, name=f"{site.name} {day}", on=day) for day in days], self.by)


@pytest.fixture
def two(app: object) -> Two:
    with at(2026, 1, 10, 12):
        return Two()


A, B = "Asha Rao", "Bob Smith"


@pytest.mark.parametrize(
    ("instant", "new_day"),
    [
        ((2028, 2, 28, 20), date(2028, 2, 29)),
        ((2028, 2, 29, 20), date(2028, 3, 1)),
        ((2029, 2, 28, 20), date(2029, 3, 1)),
        ((2026, 12, 31, 20), date(2027, 1, 1)),
    ],
)
def test_a_camp_enters_on_its_local_date(two: Two, instant: tuple[int, ...], new_day: date) -> None:
    """At 20:00 UTC the new day has begun in India, and America has nine hours to go."""
    with at(*instant):
        assert (two.india.today, two.america.today) == (new_day, new_day - timedelta(1))
        two.come(two.india, new_day)
        with pytest.raises(ConflictError):
            two.come(two.america, new_day)
        assert agrees()
        for period in (new_day.year, RECENT):
            assert two.boards(period) == ({A: 1}, {}, {A: 1})
        two.come(two.america, two.america.today)
        assert agrees()
        assert two.boards(RECENT) == ({A: 1}, {B: 1}, {A: 1, B: 1})
        if new_day.day == 1 and new_day.month == 1:
            assert two.boards(new_day.year) == ({A: 1}, {}, {A: 1})
            assert two.boards(new_day.year - 1) == ({}, {B: 1}, {B: 1})
            assert list(boards.years()) == [new_day.year, new_day.year - 1]
    with clock.stopped_at(instant_of(instant) + timedelta(hours=10)):
        assert two.america.today == new_day
        camp = factories.camp(at=two.america, name="Next day", on=new_day)
        attend(two.bob, [camp], two.by)
        assert agrees()
        # What a year and a day ago was, is long past here: nothing has left.
        assert two.boards(RECENT) == ({A: 1}, {B: 2}, {A: 1, B: 2})


LEAVING = [
    # the day of the visit, the last instant (UTC) at which India and America have it, the first without
    (date(2026, 12, 31), (2027, 12, 30, 18, 29), (2027, 12, 30, 18, 31), (2027, 12, 31, 4, 59), (2027, 12, 31, 5, 1)),
    (date(2027, 1, 1), (2027, 12, 31, 18, 29), (2027, 12, 31, 18, 31), (2028, 1, 1, 4, 59), (2028, 1, 1, 5, 1)),
    (date(2027, 2, 28), (2028, 2, 27, 18, 29), (2028, 2, 27, 18, 31), (2028, 2, 28, 4, 59), (2028, 2, 28, 5, 1)),
    (date(2027, 3, 1), (2028, 2, 29, 18, 29), (2028, 2, 29, 18, 31), (2028, 3, 1, 4, 59), (2028, 3, 1, 5, 1)),
    (date(2028, 2, 28), (2029, 2, 27, 18, 29), (2029, 2, 27, 18, 31), (2029, 2, 28, 4, 59), (2029, 2, 28, 5, 1)),
    (date(2028, 2, 29), (2029, 2, 28, 18, 29), (2029, 2, 28, 18, 31), (2029, 3, 1, 4, 59), (2029, 3, 1, 5, 1)),
    (date(2028, 3, 1), (2029, 2, 28, 18, 29), (2029, 2, 28, 18, 31), (2029, 3, 1, 4, 59), (2029, 3, 1, 5, 1)),
]


@pytest.mark.parametrize(
    ("day", "india_last", "india_first", "america_last", "america_first"), LEAVING, ids=[str(row[0]) for row in LEAVING]
)
def test_a_visit_leaves_when_its_date_comes_round_there(
    two: Two,
    day: date,
    india_last: tuple[int, ...],
    india_first: tuple[int, ...],
    america_last: tuple[int, ...],
    america_first: tuple[int, ...],
) -> None:
    with clock.stopped_at(datetime(day.year, day.month, day.day, 23, tzinfo=UTC)):
        two.come(two.india, day)
        two.come(two.america, day)
        assert two.boards(RECENT) == ({A: 1}, {B: 1}, {A: 1, B: 1})
    steps = [
        (india_last, {A: 1}, {B: 1}),
        (india_first, {}, {B: 1}),
        (america_last, {}, {B: 1}),
        (america_first, {}, {}),
    ]
    for instant, in_india, in_america in steps:
        with at(*instant):
            assert two.boards(RECENT) == (in_india, in_america, in_india | in_america), instant
            assert two.boards(day.year) == ({A: 1}, {B: 1}, {A: 1, B: 1})


def test_day_by_day_and_after_a_gap_of_weeks(two: Two) -> None:
    days = [date(2027, 2, 26) + timedelta(number) for number in range(6)]  # to 3 March
    with at(2027, 3, 4, 12):
        two.come(two.india, *days)
        two.come(two.america, *days)
        assert two.boards(RECENT) == ({A: 6}, {B: 6}, {A: 6, B: 6})
    left = []
    for number in range(9):
        with clock.stopped_at(datetime(2028, 2, 25, 12, tzinfo=UTC) + timedelta(number)):
            today = two.india.today
            assert two.america.today == today  # at noon in UTC it is one date at both
            india, america, everywhere = two.boards(RECENT)
            assert india.get(A) == america.get(B)
            assert everywhere == india | america
            left.append(india.get(A, 0))
    #      25 Feb: all; 26, 27 and 28 Feb each take one; 29 Feb takes none; then one each day
    assert left == [6, 5, 4, 3, 3, 2, 1, 0, 0]
    with at(2028, 3, 5, 12):
        assert two.boards(2027) == ({A: 6}, {B: 6}, {A: 6, B: 6})


def test_after_a_gap_of_weeks_at_once(two: Two) -> None:
    days = [date(2027, 2, 1) + timedelta(weeks=number) for number in range(8)]  # to 22 March
    with at(2027, 3, 23, 12):
        two.come(two.india, *days)
        two.come(two.america, *days[:2])
    with at(2028, 1, 31, 12):
        assert two.boards(RECENT) == ({A: 8}, {B: 2}, {A: 8, B: 2})
    with at(2028, 3, 1, 2):  # 1 March in India, 29 February in America
        lines = lines_of(Key(two.india.id, RECENT))
        # From 2 March 2027 on: 8, 15 and 22 March, a run of three with no more before it.
        assert [(line.visits, line.longest_streak) for line in lines] == [(3, 3)]
        assert two.boards(RECENT) == ({A: 3}, {}, {A: 3})
        assert [line.longest_streak for line in lines_of(Key(EVERYWHERE, 2027))] == [8, 2]


def test_badges_leave_with_the_camp_that_completed_them(two: Two) -> None:
    days = [date(2027, 2, 20), date(2027, 2, 27), date(2027, 3, 6)]
    with at(2027, 3, 7, 12):
        two.come(two.india, *days)
    for instant, names in [
        ((2028, 2, 19, 12), ["Certified Volunteer", "First Step", "On a Roll"]),
        ((2028, 2, 20, 12), ["Certified Volunteer", "On a Roll"]),
        ((2028, 3, 5, 12), ["Certified Volunteer", "On a Roll"]),
    ]:
        with at(*instant):
            for key in (Key(two.india.id, RECENT), Key(EVERYWHERE, RECENT)):
                (line,) = lines_of(key)
                assert sorted(badge.name for badge in line.badges) == names
    with at(2028, 3, 6, 12):
        assert two.boards(RECENT) == ({}, {}, {})


def test_a_kept_board_is_of_its_own_dates(two: Two) -> None:
    """It is no longer current with each midnight, at whichever of the sites."""
    with at(2027, 6, 15, 12):
        board = factories.board(Key(EVERYWHERE, RECENT))
    for instant, is_current in [
        ((2027, 6, 15, 18, 29), True),
        ((2027, 6, 15, 18, 30), False),  # midnight in India
    ]:
        with at(*instant):
            assert snapshots.is_current(board) is is_current
    with at(2027, 6, 15, 18, 30):
        board = factories.board(Key(EVERYWHERE, RECENT))
    with at(2027, 6, 16, 3, 59):
        assert snapshots.is_current(board)
    with at(2027, 6, 16, 4, 0):  # midnight in New York in summer
        assert not snapshots.is_current(board)


def test_a_mark_on_the_first_morning_of_a_year(people: People) -> None:
    with at(2026, 12, 31, 6):
        attend(people.volunteer, [factories.camp(name="Old year")], people.coordinator)
    with at(2027, 1, 1, 6):
        attend(people.volunteer, [factories.camp(name="New year")], people.coordinator)
        assert visits(Key(EVERYWHERE, 2027)) == {A: 1}
        assert visits(Key(EVERYWHERE, 2026)) == {A: 1}
        assert agrees()
        assert visits(Key(EVERYWHERE, RECENT)) == {A: 2}


def test_a_clock_that_was_ahead(two: Two) -> None:
    """What a clock too far ahead took off the board comes back when it is set right."""
    with at(2027, 3, 7, 12):
        two.come(two.india, date(2027, 3, 1))
    with at(2030, 1, 1, 12):
        assert two.boards(RECENT) == ({}, {}, {})
    with at(2027, 3, 8, 12):
        assert two.boards(RECENT) == ({A: 1}, {}, {A: 1})
