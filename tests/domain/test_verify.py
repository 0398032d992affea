"""``flask verify``: whatever is damaged behind the application's back is found, said, and mended on request."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import Executable, delete, insert, select, update

from tests import factories
from tests.conftest import People
from tests.factories import attend, weekly
from webapp import clock
from webapp.database import db, writing
from webapp.domain import accounts, attendance, badges, calendar, leaderboard, standings
from webapp.domain.accounts import Person
from webapp.domain.badges import Award, Badge
from webapp.domain.camps import Camp
from webapp.domain.standings import ALL_TIME, EVERYWHERE, RECENT, Standing

AGREES = "Everything agrees with the attendance."
# The camp that was cancelled in the life below had completed it.
KEPT = "1 badge(s) stand that today's calendar would not give; the contract leaves them."
FIGURES = ("visits", "longest_streak", "badges", "run", "last_visit")

Row = tuple[Any, ...]


def verify(app: Flask, *options: str) -> Result:
    db.session.remove()
    return app.test_cli_runner().invoke(args=["verify", *options])


@dataclass
class Life:
    """Who the damage is done to. The volunteer came three times running and once elsewhere, the other once."""

    volunteer: UUID
    volunteer_no: int
    other: UUID
    other_no: int
    last_camp: UUID


@pytest.fixture
def life(people: People) -> Life:
    """Marks, an undone one, a cancelled camp, two sites."""
    camps = weekly(4)
    elsewhere = weekly(2, at=factories.site("South"))
    attend(people.volunteer, [*camps, elsewhere[0]], people.coordinator)
    attend(people.other, [camps[0], elsewhere[1]], people.coordinator)
    with writing():
        attendance.undo(people.other, elsewhere[1], by=people.coordinator)
    with writing():
        calendar.cancel_camp(camps[1])
    return Life(
        people.volunteer.id, people.volunteer.book_no, people.other.id, people.other.book_no, last_camp=camps[3].id
    )


def damage(*statements: Executable) -> None:
    with writing():
        for statement in statements:
            db.session.execute(statement, execution_options={"synchronize_session": False})
    db.session.expire_all()


def kept() -> tuple[list[Row], list[Row], dict[tuple[Any, ...], int]]:
    """Everything that is kept: standings, awards that stand, the tally."""
    every = [Standing.person_id, Standing.site_id, Standing.period, *(getattr(Standing, name) for name in FIGURES)]
    repeated = [Standing.search_name, Standing.book_no, Standing.is_listed]
    rows = sorted(map(tuple, db.session.execute(select(*every, *repeated))), key=lambda row: row[:3])
    stand = select(Award.person_id, Award.badge_id, Award.camp_id).where(Award.revoked_at.is_(None))
    awards = sorted(map(tuple, db.session.execute(stand)))
    counted: dict[tuple[Any, ...], int] = {}
    for site_id, period, measure, value, number in db.session.execute(select(standings.tally)):
        counted[site_id, period, measure, value] = counted.get((site_id, period, measure, value), 0) + number
    return rows, awards, {key: number for key, number in counted.items() if number}


def test_a_life_without_damage_agrees(app: Flask, life: Life) -> None:
    before = kept()
    result = verify(app)
    assert (result.exit_code, result.stdout.splitlines()) == (0, [AGREES]), result.output
    mended = verify(app, "--repair")
    assert (mended.exit_code, mended.stdout.splitlines()) == (0, [AGREES]), mended.output
    assert kept() == before


def overall(person_id: UUID) -> Sequence[Any]:
    return Standing.person_id == person_id, Standing.site_id == EVERYWHERE, Standing.period == ALL_TIME


def of_badge(person_id: UUID, name: str) -> Sequence[Any]:
    badge = select(Badge.id).where(Badge.name == name).scalar_subquery()
    return Award.person_id == person_id, Award.badge_id == badge


def wrong_visits(life: Life) -> list[Executable]:
    return [update(Standing).where(*overall(life.volunteer)).values(visits=Standing.visits + 1)]


def wrong_visits_of_the_last_months(life: Life) -> list[Executable]:
    condition = Standing.person_id == life.volunteer, Standing.site_id != EVERYWHERE, Standing.period == RECENT
    return [update(Standing).where(*condition).values(visits=Standing.visits + 1)]


def wrong_streak(life: Life) -> list[Executable]:
    return [update(Standing).where(*overall(life.volunteer)).values(longest_streak=Standing.longest_streak - 1)]


def wrong_badges(life: Life) -> list[Executable]:
    return [update(Standing).where(*overall(life.volunteer)).values(badges=0)]


def wrong_run(life: Life) -> list[Executable]:
    condition = Standing.person_id == life.volunteer, Standing.site_id != EVERYWHERE, Standing.period == ALL_TIME
    return [update(Standing).where(*condition).values(run=Standing.run + 5)]


def wrong_last_visit(life: Life) -> list[Executable]:
    return [update(Standing).where(*overall(life.volunteer)).values(last_visit=date(2001, 1, 1))]


def forgotten_last_visit(life: Life) -> list[Executable]:
    return [update(Standing).where(*overall(life.volunteer)).values(last_visit=None)]


def standing_gone(life: Life) -> list[Executable]:
    return [delete(Standing).where(*overall(life.volunteer))]


def standing_of_nothing(life: Life) -> list[Executable]:
    person = db.session.get_one(Person, life.volunteer)
    row = dict.fromkeys(FIGURES, 0) | {"visits": 1, "last_visit": date(2001, 1, 1)}
    key = {"person_id": person.id, "site_id": EVERYWHERE, "period": 2001}
    repeated = {"search_name": person.search_name, "book_no": person.book_no, "is_listed": True}
    return [insert(Standing).values(row | key | repeated)]


def stale_name(life: Life) -> list[Executable]:
    return [update(Standing).where(*overall(life.volunteer)).values(search_name="asha before she married")]


def stale_book_no(life: Life) -> list[Executable]:
    """The number is said as the standing has it, if that is what is wrong; here it is right in the others."""
    return [update(Person).where(Person.id == life.volunteer).values(book_no=4321)]


def stale_listing(life: Life) -> list[Executable]:
    return [update(Standing).where(Standing.person_id == life.volunteer).values(is_listed=False)]


def award_gone(life: Life) -> list[Executable]:
    return [delete(Award).where(*of_badge(life.volunteer, "First Step"))]


def award_of_another_camp(life: Life) -> list[Executable]:
    return [update(Award).where(*of_badge(life.volunteer, "First Step")).values(camp_id=life.last_camp)]


def award_revoked_unsaid(life: Life) -> list[Executable]:
    return [update(Award).where(*of_badge(life.volunteer, "On a Roll")).values(revoked_at=clock.now())]


VOLUNTEER = "book number {life.volunteer_no}: "
DAMAGES = [
    (wrong_visits, VOLUNTEER + "the standing of all time is kept wrongly."),
    (wrong_visits_of_the_last_months, VOLUNTEER + "the standing of the last twelve months at site "),
    (wrong_streak, VOLUNTEER + "the standing of all time is kept wrongly."),
    (wrong_badges, VOLUNTEER + "the standing of all time is kept wrongly."),
    (wrong_run, VOLUNTEER + "the standing of all time at site "),
    (wrong_last_visit, VOLUNTEER + "the standing of all time is kept wrongly."),
    (forgotten_last_visit, VOLUNTEER + "the standing of all time is kept wrongly."),
    (standing_gone, VOLUNTEER + "the standing of all time is missing."),
    (standing_of_nothing, VOLUNTEER + "the standing of 2001 is kept wrongly."),
    (stale_name, VOLUNTEER + "the standing of all time is kept wrongly."),
    (stale_book_no, VOLUNTEER + "the standing of all time is kept wrongly."),
    (stale_listing, VOLUNTEER + "the standing of all time is kept wrongly."),
    (award_gone, VOLUNTEER + "First Step is earned and not awarded."),
    (award_of_another_camp, VOLUNTEER + "First Step names another camp than completed it."),
    (award_revoked_unsaid, VOLUNTEER + "On a Roll is earned and not awarded."),
]


@pytest.mark.parametrize(("done", "said"), DAMAGES, ids=[done.__name__ for done, _ in DAMAGES])
def test_damage_is_found_and_mended(app: Flask, life: Life, done: Any, said: str) -> None:
    before = kept()
    damage(*done(life))
    assert kept() != before or done is stale_book_no
    found = verify(app)
    assert found.exit_code == 1, found.output
    expected = said.format(life=life)
    assert any(line.startswith(expected) for line in found.stdout.splitlines()), found.output
    assert "flask verify --repair mends them." in found.stderr
    mended = verify(app, "--repair")
    assert (mended.exit_code, mended.stdout.splitlines()) == (0, [AGREES]), mended.output
    if done is stale_book_no:
        assert {row[9] for row in kept()[0] if row[0] == life.volunteer} == {4321}
    else:
        assert kept() == before
    again = verify(app)
    assert (again.exit_code, again.stdout.splitlines()) == (0, [AGREES]), again.output


def test_only_what_is_damaged_is_said(app: Flask, life: Life) -> None:
    damage(*award_of_another_camp(life))
    assert verify(app).stdout.splitlines() == [
        f"book number {life.volunteer_no}: First Step names another camp than completed it."
    ]


@pytest.mark.parametrize("off_by", [1, -1, 700])
def test_a_tally_that_is_off(app: Flask, life: Life, off_by: int) -> None:
    before = kept()
    board = {"site_id": EVERYWHERE, "period": ALL_TIME, "measure": "visits", "value": 1}
    damage(insert(standings.tally).values(board | {"people": off_by}))
    found = verify(app)
    assert found.exit_code == 1
    assert found.stdout.splitlines() == [
        f"the number of people with 1 by visits of all time is kept as {1 + off_by}, and is 1."
    ]
    assert verify(app, "--repair").exit_code == 0
    assert kept() == before
    assert verify(app).exit_code == 0


def test_an_award_that_nothing_supports_is_told_and_left(app: Flask, life: Life) -> None:
    """It cannot be told from one that was earned before a camp was cancelled and a mark taken back."""
    elite = db.session.scalars(select(Badge.id).where(Badge.name == "Elite Volunteer")).one()
    row = {"person_id": life.other, "badge_id": elite, "camp_id": life.last_camp, "earned_at": clock.now()}
    damage(insert(Award).values(row | {"revoked_at": None}))
    assert verify(app).exit_code == 1  # the boards do not count it yet
    mended = verify(app, "--repair")
    assert mended.exit_code == 0, mended.output
    assert mended.stdout.splitlines() == [AGREES]
    assert KEPT.replace("1", "2", 1) in mended.stderr
    assert badges.ever_revoked(life.other) == set()


def test_a_cancelled_camp_and_a_mark_taken_back_are_no_damage(app: Flask, people: People) -> None:
    camps = weekly(3)
    attend(people.volunteer, camps, people.coordinator)
    with writing():
        calendar.cancel_camp(db.session.get_one(Camp, camps[2].id))
    with writing():
        attendance.undo(people.volunteer, camps[0], by=people.coordinator)
    held = factories.badge_names(people.volunteer)
    assert "On a Roll" in held
    assert verify(app).exit_code == 0
    assert verify(app, "--repair").exit_code == 0
    assert factories.badge_names(people.volunteer) == held


def test_who_opts_out_while_somebody_marks_them_stays_out(app: Flask, people: People) -> None:
    """The coordinator's page had read them before."""
    camp = factories.camp(0)
    read_before = people.volunteer
    with writing():
        accounts.opt_out(db.session.merge(people.volunteer))
    db.session.expunge_all()
    assert not read_before.opted_out
    with writing():
        attendance.mark_present(read_before, camp, by=people.coordinator)
    assert [line.person.id for line in leaderboard.lines()] == [people.other.id]
    assert verify(app).exit_code == 0


def test_a_badge_that_a_new_calendar_would_not_give_is_no_damage(app: Flask, people: People) -> None:
    camps = weekly(3)
    attend(people.volunteer, camps, people.coordinator)
    with writing():
        calendar.cancel_camp(db.session.get_one(Camp, camps[1].id))
    assert "Certified Volunteer" in factories.badge_names(people.volunteer)
    assert verify(app).exit_code == 0
    assert verify(app, "--repair").exit_code == 0
    assert "Certified Volunteer" in factories.badge_names(people.volunteer)
