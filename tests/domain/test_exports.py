"""What is exported, and that the attendance imports again to the same state."""

import csv
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text

from tests import factories, state
from tests.conftest import SUNDAY, People
from webapp import clock
from webapp.database import db, is_sqlite, writing
from webapp.domain import cells
from webapp.domain.attendance import marking
from webapp.domain.audit import Action, Entry
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import Camp, Site
from webapp.domain.evaluation import verify
from webapp.domain.import_export import exports, history_file, imports, people_file
from webapp.domain.models.attendance import Attendance, CampRole
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Person, Role
from webapp.domain.schedule import schedule

FORMULA = "=HYPERLINK(1)"


def exported(*, with_site: bool | None = None) -> str:
    with_site = exports.names_sites() if with_site is None else with_site
    return "".join(
        cells.file_of(exports.attendance_header(with_site=with_site), exports.attendance(with_site=with_site))
    )


def rows_of(file: str) -> list[list[str]]:
    return list(csv.reader(StringIO(file.removeprefix("\ufeff"))))


def store(file: Path) -> None:
    with writing():
        imports.store(history_file.read(file))


def empty() -> None:
    """As a new installation: the badges are there, and one site."""
    badges = ("badge", "definition")
    db.session.rollback()
    with writing():
        for table in reversed(db.metadata.sorted_tables):
            if table.name not in badges:
                db.session.execute(table.delete())
        first = {"name": calendar.DEFAULT_SITE, "time_zone": calendar.DEFAULT_TIME_ZONE}
        db.session.execute(insert(Site), [first])
    db.session.expire_all()


def again(tmp_path: Path) -> str:
    """Export, begin anew with what was exported, and export once more."""
    file = tmp_path / "attendance.csv"
    file.write_text(first := exported(), newline="")
    empty()
    store(file)
    return first


def by_date(found: state.State) -> state.State:
    """Of several camps that began at once, any may have completed a badge: their ids, made anew, decide."""
    awards = sorted((book_no, badge, camp[1], earned_at) for book_no, badge, camp, earned_at, *_ in found["awards"])
    return found | {"awards": awards}


@pytest.mark.parametrize("name", ["node_meetings.csv", "worldcup_squads.csv"])
def test_a_real_history_comes_back_as_it_was(tmp_path: Path, data: Path, name: str) -> None:
    with clock.stopped_at(datetime(2026, 12, 1, tzinfo=UTC)):  # after all of them
        empty()
        store(data / name)
        before = by_date(state.everything())
        first = again(tmp_path)
        assert by_date(state.everything()) == before
        assert sorted(exported().splitlines()) == sorted(first.splitlines())


def test_camps_of_nobody_and_cancelled_ones_change_no_run(tmp_path: Path, people: People) -> None:
    held = factories.weekly(5)
    factories.attend(people.volunteer, [held[0], held[1], held[3], held[4]], people.coordinator)
    with writing():
        marking.excuse(people.other, held[0], by=people.coordinator)
        marking.mark_absent(people.other, held[1], by=people.coordinator)
        marking.sign_up(people.other, factories_camp_to_come(), CampRole.DOCTOR)
    cancelled = factories.camp(6, "Cancelled")
    factories.attend(people.coordinator, [cancelled], people.coordinator)
    with writing():
        schedule.cancel_camp(cancelled)
    before = state.earned()
    file = exported()
    assert rows_of(file)[0] == ["book_no", "name", "camp", "camp_date", "camp_role", "attended"]
    assert "Cancelled" not in file
    said = {(row[0], row[3]): row[5] for row in rows_of(file)[1:]}
    assert said["4", str(held[0].camp_date)] == "excused"
    assert said["4", str(held[1].camp_date)] == "no"
    assert said["2", str(held[2].camp_date)] == "expected"  # of nobody: it must stay on the calendar
    assert len(said) == 4 + 3 + 1
    again(tmp_path)
    mine = {name: [row for row in rows if row[0] in (2, 4)] for name, rows in before.items()}
    after = state.earned()
    assert {name: [row for row in rows if row[0] in (2, 4)] for name, rows in after.items()} == mine


def factories_camp_to_come() -> Camp:
    """Within the caller's own transaction."""
    site = calendar.default_site()
    return schedule.add_camp(site, "To come", site.today + timedelta(weeks=1))


def test_names_that_are_formulas_survive(tmp_path: Path, people: People) -> None:
    with writing():
        person = accounts.add_person(FORMULA, book_no=70)
        camp = schedule.add_camp(calendar.default_site(), "+1 more camp", SUNDAY.date())
    factories.attend(person, [camp], people.coordinator)
    assert rows_of(exported())[1][:3] == ["70", f"'{FORMULA}", "'+1 more camp"]
    again(tmp_path)
    assert db.session.scalars(select(Person.name)).all() == [FORMULA]
    assert db.session.scalars(select(Camp.name)).all() == ["+1 more camp"]


def test_the_site_is_named_where_it_must_be(people: People) -> None:
    factories.attend(people.volunteer, factories.weekly(1), people.coordinator)
    assert not exports.names_sites()
    factories.attend(people.volunteer, factories.weekly(1, at=factories.site("Hosur")), people.coordinator)
    assert exports.names_sites()
    assert [row[2] for row in rows_of(exported())] == ["site", "Hosur", "Main site"] or [
        row[2] for row in rows_of(exported())
    ] == ["site", "Main site", "Hosur"]


def test_people_come_back_as_they_were(people: People) -> None:
    """Into an empty installation, formulas and who is switched off too; into the same one, nobody is changed."""
    for name in (FORMULA, "'-1", "''Quoted"):
        factories.person(name)
    before = list(exports.people())
    file = "".join(cells.file_of(exports.PEOPLE, before))
    assert f"'{FORMULA}" in file
    again = people_file.preview(file.encode())
    assert (again.new, again.problems) == ([], [])
    assert [each.row.name for each in again.known if each.differs] == []
    empty()
    admin = factories.person("First Admin", book_no=1_000, role=Role.ADMIN)
    with writing():
        people_file.begin(people_file.preview(file.encode()), by=admin, title="people.csv")
    factories.do_jobs()
    assert list(exports.people()) == [*before, (1_000, "First Admin", "admin", "yes")]
    assert list(verify.differences()) == []
    off = select(Entry.action).join(Person, Person.id == Entry.person_id).where(Person.name == "Nobody Now")
    assert set(db.session.scalars(off)) == {Action.PERSON_ADDED, Action.DEACTIVATED}


def test_people_are_exported_with_role_and_whether_they_are_active(people: People) -> None:
    assert list(exports.people())[1:] == [
        (2, "Asha Rao", "volunteer", "yes"),
        (3, "Ravi Gowda", "coordinator", "yes"),
        (4, "Imran Pasha", "volunteer", "yes"),
        (5, "Nobody Now", "volunteer", "no"),
    ]


def test_rows_are_fetched_as_they_are_needed(people: People) -> None:
    """The database keeps the rest: of 3,000 people some hundreds have been made objects of here."""
    with writing():
        db.session.execute(
            insert(Person),
            [{"book_no": 1_000 + n, "name": "X", "search_name": "x", "role": "volunteer"} for n in range(3_000)],
        )
    found: Iterator[exports.Row] = exports.people()
    next(found)
    if not is_sqlite():  # which fetches row by row anyway
        assert db.session.scalar(text("SELECT count(*) FROM pg_cursors")) == 1
    assert sum(1 for _ in found) == 3_004


def test_standings_are_those_of_the_leaderboard(people: People) -> None:
    factories.attend(people.volunteer, factories.weekly(3), people.coordinator)
    assert list(exports.standings(factories.board())) == [
        (1, 2, "Asha Rao", 3, 3, 3, "First Step;Certified Volunteer;On a Roll"),
        (2, 4, "Imran Pasha", 0, 0, 0, ""),
    ]
    assert date(2026, 4, 12) == SUNDAY.date()
    assert db.session.scalars(select(Attendance.person_id).distinct()).all() == [people.volunteer.id]
