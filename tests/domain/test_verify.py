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
from webapp.domain.attendance import marking
from webapp.domain.badges import awards
from webapp.domain.camps.calendar import Camp, Site
from webapp.domain.leaderboard import boards
from webapp.domain.models.badge import Award, Badge
from webapp.domain.models.totals import Totals
from webapp.domain.people import accounts
from webapp.domain.schedule import schedule

AGREES = "Everything agrees with the attendance."
# The camp that was cancelled in the life below had completed it.
KEPT = "1 badge(s) stand that today's calendar would not give; the contract leaves them."
FIGURES = ("visits", "longest_streak", "streak", "last_visit", "visits_in_year")
NOTHING = (0, 0, 0, None, 0)

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
    site: UUID


@pytest.fixture
def life(people: People) -> Life:
    """Marks, an undone one, a cancelled camp, two sites."""
    camps = weekly(4)
    elsewhere = weekly(2, at=factories.site("South"))
    attend(people.volunteer, [*camps, elsewhere[0]], people.coordinator)
    attend(people.other, [camps[0], elsewhere[1]], people.coordinator)
    with writing():
        marking.undo(people.other, elsewhere[1], by=people.coordinator)
    with writing():
        schedule.cancel_camp(camps[1])
    factories.site("Nowhere")
    return Life(
        people.volunteer.id,
        people.volunteer.book_no,
        people.other.id,
        people.other.book_no,
        last_camp=camps[3].id,
        site=camps[3].site_id,
    )


def damage(*statements: Executable) -> None:
    with writing():
        for statement in statements:
            db.session.execute(statement, execution_options={"synchronize_session": False})
    db.session.expire_all()


def kept() -> tuple[list[Row], list[Row]]:
    """Everything that is kept: totals, and awards that stand. Totals of nought say the same as none."""
    columns = [getattr(Totals, name) for name in ("person_id", "site_id", *FIGURES)]
    found = sorted(map(tuple, db.session.execute(select(*columns))), key=lambda row: row[:2])
    rows = [row for row in found if row[2:] != NOTHING]
    stand = select(Award.person_id, Award.badge_id, Award.camp_id).where(Award.revoked_at.is_(None))
    return rows, sorted(map(tuple, db.session.execute(stand)))


def test_a_life_without_damage_agrees(app: Flask, life: Life) -> None:
    before = kept()
    result = verify(app)
    assert (result.exit_code, result.stdout.splitlines()) == (0, [AGREES]), result.output
    mended = verify(app, "--repair")
    assert (mended.exit_code, mended.stdout.splitlines()) == (0, [AGREES]), mended.output
    assert kept() == before


def here(life: Life) -> Sequence[Any]:
    """The volunteer's totals at the site where they came three times."""
    return Totals.person_id == life.volunteer, Totals.site_id == life.site


def of_badge(person_id: UUID, name: str) -> Sequence[Any]:
    badge = select(Badge.id).where(Badge.name == name).scalar_subquery()
    return Award.person_id == person_id, Award.badge_id == badge


def wrong_visits(life: Life) -> list[Executable]:
    return [update(Totals).where(*here(life)).values(visits=Totals.visits + 1)]


def wrong_visits_in_year(life: Life) -> list[Executable]:
    return [update(Totals).where(*here(life)).values(visits_in_year=Totals.visits_in_year + 1)]


def wrong_longest_streak(life: Life) -> list[Executable]:
    return [update(Totals).where(*here(life)).values(longest_streak=Totals.longest_streak - 1)]


def wrong_streak(life: Life) -> list[Executable]:
    return [update(Totals).where(*here(life)).values(streak=Totals.streak + 5)]


def wrong_last_visit(life: Life) -> list[Executable]:
    return [update(Totals).where(*here(life)).values(last_visit=date(2001, 1, 1))]


def forgotten_last_visit(life: Life) -> list[Executable]:
    return [update(Totals).where(*here(life)).values(last_visit=None)]


def totals_gone(life: Life) -> list[Executable]:
    """Those of one site of two: a sum of them would be too small."""
    return [delete(Totals).where(*here(life))]


def totals_of_nothing(life: Life) -> list[Executable]:
    """At a site where nobody ever was."""
    site = select(Site.id).where(Site.name == "Nowhere").scalar_subquery()
    figures = dict.fromkeys(FIGURES, 1) | {"last_visit": date(2001, 1, 1)}
    return [insert(Totals).values(person_id=life.volunteer, site_id=site, version=1, **figures)]


def award_gone(life: Life) -> list[Executable]:
    return [delete(Award).where(*of_badge(life.volunteer, "First Step"))]


def award_of_another_camp(life: Life) -> list[Executable]:
    return [update(Award).where(*of_badge(life.volunteer, "First Step")).values(camp_id=life.last_camp)]


def award_revoked_unsaid(life: Life) -> list[Executable]:
    return [update(Award).where(*of_badge(life.volunteer, "On a Roll")).values(revoked_at=clock.now())]


VOLUNTEER = "book number {life.volunteer_no}: "
WRONGLY = VOLUNTEER + "the totals at Main site are kept wrongly."
DAMAGES = [
    (wrong_visits, WRONGLY),
    (wrong_visits_in_year, WRONGLY),
    (wrong_longest_streak, WRONGLY),
    (wrong_streak, WRONGLY),
    (wrong_last_visit, WRONGLY),
    (forgotten_last_visit, WRONGLY),
    (totals_gone, WRONGLY),
    (totals_of_nothing, VOLUNTEER + "the totals at Nowhere are kept wrongly."),
    (award_gone, VOLUNTEER + "First Step is earned and not awarded."),
    (award_of_another_camp, VOLUNTEER + "First Step names another camp than completed it."),
    (award_revoked_unsaid, VOLUNTEER + "On a Roll is earned and not awarded."),
]


@pytest.mark.parametrize(("done", "said"), DAMAGES, ids=[done.__name__ for done, _ in DAMAGES])
def test_damage_is_found_and_mended(app: Flask, life: Life, done: Any, said: str) -> None:
    before = kept()
    damage(*done(life))
    assert kept() != before
    found = verify(app)
    assert found.exit_code == 1, found.output
    expected = said.format(life=life)
    assert any(line.startswith(expected) for line in found.stdout.splitlines()), found.output
    assert "flask verify --repair mends them." in found.stderr
    mended = verify(app, "--repair")
    assert (mended.exit_code, mended.stdout.splitlines()) == (0, [AGREES]), mended.output
    assert kept() == before
    again = verify(app)
    assert (again.exit_code, again.stdout.splitlines()) == (0, [AGREES]), again.output


def test_only_what_is_damaged_is_said(app: Flask, life: Life) -> None:
    damage(*award_of_another_camp(life))
    assert verify(app).stdout.splitlines() == [
        f"book number {life.volunteer_no}: First Step names another camp than completed it."
    ]


def test_totals_that_are_not_known_are_no_damage_and_come_with_the_next_mark(
    app: Flask, people: People, life: Life
) -> None:
    """As an upgrade leaves them, until they are filled."""
    before = kept()
    damage(delete(Totals))
    assert verify(app).exit_code == 0
    another = factories.camp(0, "Another")
    attend(people.volunteer, [another], people.coordinator)
    known = db.session.scalars(select(Totals).where(Totals.person_id == life.volunteer)).all()
    assert sum(totals.visits for totals in known) == 5
    assert verify(app).exit_code == 0
    with writing():
        marking.undo(people.volunteer, another, by=people.coordinator)
    assert verify(app, "--repair").exit_code == 0
    assert kept()[0] == before[0]


def test_an_award_that_nothing_supports_is_told_and_left(app: Flask, life: Life) -> None:
    """It cannot be told from one that was earned before a camp was cancelled and a mark taken back."""
    elite = db.session.scalars(select(Badge.id).where(Badge.name == "Elite Volunteer")).one()
    row = {"person_id": life.other, "badge_id": elite, "camp_id": life.last_camp, "earned_at": clock.now()}
    damage(insert(Award).values(row | {"revoked_at": None}))
    assert verify(app).exit_code == 0
    mended = verify(app, "--repair")
    assert mended.exit_code == 0, mended.output
    assert mended.stdout.splitlines() == [AGREES]
    assert KEPT.replace("1", "2", 1) in mended.stderr
    assert awards.ever_revoked(life.other) == set()


def test_a_cancelled_camp_and_a_mark_taken_back_are_no_damage(app: Flask, people: People) -> None:
    camps = weekly(3)
    attend(people.volunteer, camps, people.coordinator)
    with writing():
        schedule.cancel_camp(db.session.get_one(Camp, camps[2].id))
    with writing():
        marking.undo(people.volunteer, camps[0], by=people.coordinator)
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
        marking.mark_present(read_before, camp, by=people.coordinator)
    assert [line.person.id for line in boards.lines(factories.board())] == [people.other.id]
    assert verify(app).exit_code == 0


def test_a_badge_that_a_new_calendar_would_not_give_is_no_damage(app: Flask, people: People) -> None:
    camps = weekly(3)
    attend(people.volunteer, camps, people.coordinator)
    with writing():
        schedule.cancel_camp(db.session.get_one(Camp, camps[1].id))
    assert "Certified Volunteer" in factories.badge_names(people.volunteer)
    assert verify(app).exit_code == 0
    assert verify(app, "--repair").exit_code == 0
    assert "Certified Volunteer" in factories.badge_names(people.volunteer)
