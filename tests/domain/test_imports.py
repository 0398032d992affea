"""What a file may hold, and what is said of one that may not."""

from pathlib import Path

import pytest
from sqlalchemy import func, select

from tests import factories
from tests.conftest import SUNDAY, People
from tests.factories import badge_names
from webapp.database import db, writing
from webapp.domain.badges import awards, history
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import Camp, Site
from webapp.domain.errors import InvalidError
from webapp.domain.import_export import history_file, imports
from webapp.domain.import_export.imports import ImportRefused, Report
from webapp.domain.models.attendance import Attendance, State
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Person
from webapp.domain.schedule import schedule

HEADER = "book_no,name,site,camp,camp_date,camp_role,attended"


def put(tmp_path: Path, *lines: str, header: str = HEADER, encoding: str = "utf-8") -> Path:
    file = tmp_path / "history.csv"
    file.write_bytes("\n".join([header, *lines]).encode(encoding))
    return file


def run(file: Path, *, keep_good: bool = False) -> Report:
    rows = history_file.read(file)
    with writing():
        return imports.store(rows, keep_good=keep_good)


def stored() -> list[int]:
    """How many people, sites, camps and attendances there are."""
    tables: tuple[type, ...] = (Person, Site, Camp, Attendance)
    return [db.session.scalar(select(func.count()).select_from(table)) or 0 for table in tables]


def test_sites_camps_and_people_are_created_and_badges_awarded(tmp_path: Path) -> None:
    file = put(
        tmp_path,
        "7,Asha Rao,Hosur,Camp,2026-04-05,volunteer,yes",
        "7,Asha Rao,Hosur,Camp,2026-03-29,volunteer,yes",
        "8,Śrīnivāsa Rao,Hosur,Camp,2026-04-05,doctor,yes",
        "7,Asha Rao,Hosur,Camp,2026-04-19,volunteer,expected",
    )
    report = run(file)
    assert (report.stored, report.new_people, report.new_camps, report.new_badges) == (4, 2, 3, 1)
    asha = accounts.by_book_no(7)
    assert asha is not None
    assert (asha.name, asha.password_hash) == ("Asha Rao", None)
    assert badge_names(asha) == ["First Step"]
    (award,) = awards.of_person(asha.id)
    assert award.camp.camp_date.isoformat() == "2026-03-29"
    assert award.earned_at == award.camp.starts_at


def test_twice_changes_nothing(tmp_path: Path) -> None:
    file = put(tmp_path, "7,Asha Rao,,Camp,2026-04-05,,", "8,Imran Pasha,,Camp,2026-04-05,volunteer,excused")
    run(file)
    before = stored()
    report = run(file)
    assert (report.stored, report.unchanged, report.new_badges) == (0, 2, 0)
    assert stored() == before


def test_columns_in_any_order_and_optional_ones_missing(tmp_path: Path) -> None:
    run(put(tmp_path, "2026-04-05,Camp,Asha Rao,7", header="camp_date,camp,name,book_no"))
    asha = accounts.by_book_no(7)
    assert asha is not None
    assert len(history.of_person(asha.id).visits) == 1
    assert db.session.scalars(select(Camp)).one().site == calendar.default_site()


def test_a_byte_order_mark_is_no_harm(tmp_path: Path) -> None:
    assert run(put(tmp_path, "7,Asha Rao,,Camp,2026-04-05,,", encoding="utf-8-sig")).stored == 1


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("x7,Asha,,Camp,2026-04-05,,", "“x7” is not a book number"),
        ("0,Asha,,Camp,2026-04-05,,", "“0” is not a book number"),
        ("99999999999,Asha,,Camp,2026-04-05,,", "is not a book number"),
        ("٧,Asha,,Camp,2026-04-05,,", "is not a book number"),
        ("7,,,Camp,2026-04-05,,", "A name is needed"),
        (f"7,{'x' * 10_000},,Camp,2026-04-05,,", "This name has 10,000 characters"),
        ("7,Asha\x00Rao,,Camp,2026-04-05,,", "characters that cannot be shown"),
        ("7,Asha,,,2026-04-05,,", "The camp needs a name"),
        ("7,Asha,,Camp,12/04/2026,,", "“12/04/2026” is not a date; write year, month and day as 2026-04-12"),
        ("7,Asha,,Camp,2026-02-30,,", "not a date of the calendar"),
        ("7,Asha,,Camp,20260405,,", "is not a date"),
        ("7,Asha,,Camp,0001-01-01,,", "is before 1900"),
        ("7,Asha,,Camp,2026-04-05,nurse,", "camp_role is “nurse”"),
        ("7,Asha,,Camp,2026-04-05,,maybe", "attended is “maybe”"),
        ("7,Asha,,Camp", "it has 4 of 7 columns"),
        ("7,Asha,,Camp,2026-04-05,,yes,more", "it has 8 of 7 columns"),
        ("7,Asha,,Camp,2026-04-19,,yes", "2026-04-19 is in the future"),
        ("7,Asha,,Camp,2037-01-01,,expected", "2037-01-01 is more than 10 years ahead"),
        ('7,"Asha,,Camp,2026-04-05,,', 'not readable as CSV: a quote (") is not closed on this line'),
    ],
)
def test_a_bad_row_is_named_and_nothing_stored(tmp_path: Path, row: str, reason: str) -> None:
    before = stored()
    file = put(tmp_path, "6,Good Row,,Camp,2026-04-05,,", row)
    with pytest.raises(ImportRefused) as refused:
        run(file)
    (problem,) = refused.value.problems
    assert problem.line == 3
    assert reason in problem.reason
    assert stored() == before

    report = run(file, keep_good=True)
    assert (report.stored, [each.line for each in report.problems]) == (1, [3])
    assert accounts.by_book_no(6) is not None
    assert accounts.by_book_no(7) is None


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("book_no,name,camp", "missing: camp_date"),
        (HEADER + ",shoe_size", "Unknown column\\(s\\): shoe_size"),
        (HEADER + ",name", "named twice: name"),
        ("", "The file is empty"),
    ],
)
def test_a_bad_header_is_refused_by_name(tmp_path: Path, header: str, said: str) -> None:
    with pytest.raises(InvalidError, match=said):
        history_file.read(put(tmp_path, header=header))


def test_a_wrong_encoding_is_refused(tmp_path: Path) -> None:
    file = put(tmp_path, "6,Good,,Camp,2026-04-05,,", "7,Zoë,,Camp,2026-04-05,,", encoding="latin-1")
    with pytest.raises(InvalidError, match="not UTF-8"):
        run(file)


def test_a_file_that_is_not_there_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="cannot be read"):
        history_file.read(tmp_path / "nothing.csv")


def test_rows_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    file = put(tmp_path, "7,Asha,,Camp,2026-04-05,,yes", "7,Asha,,Camp,2026-04-05,,no")
    with pytest.raises(ImportRefused) as refused:
        run(file)
    assert "contradicts line 2" in refused.value.problems[0].reason


def test_a_row_for_a_cancelled_camp_is_refused(tmp_path: Path) -> None:
    file = put(tmp_path, "7,Asha,,Camp,2026-04-05,,yes")
    run(file)
    camp = db.session.scalars(select(Camp)).one()
    with writing():
        schedule.cancel_camp(camp)
    with pytest.raises(ImportRefused) as refused:
        run(file)
    assert "was cancelled" in refused.value.problems[0].reason


def test_a_file_corrects_marks_but_expected_undoes_none(tmp_path: Path, people: People) -> None:
    (camp,) = factories.weekly(1)
    factories.attend(people.volunteer, [camp], people.coordinator)
    row = f"{people.volunteer.book_no},Asha Rao,,Camp,{SUNDAY.date()},volunteer,"
    assert run(put(tmp_path, row + "expected")).unchanged == 1
    assert badge_names(people.volunteer) == ["First Step"]
    assert run(put(tmp_path, row + "no")).revoked_badges == 1
    found = factories.row_of(camp, people.volunteer)
    assert found.state is State.ABSENT
    assert badge_names(people.volunteer) == []


def test_an_older_part_imported_later_moves_the_completing_camps(tmp_path: Path) -> None:
    run(put(tmp_path, "7,Asha,,Camp,2026-04-05,,yes"))
    run(put(tmp_path, "7,Asha,,Camp,2026-03-29,,yes"))
    asha = accounts.by_book_no(7)
    assert asha is not None
    (award,) = awards.of_person(asha.id)
    assert award.camp.camp_date.isoformat() == "2026-03-29"


def test_rows_without_a_site_stay_at_the_first_site_whatever_comes_after(tmp_path: Path) -> None:
    file = put(tmp_path, "7,Asha,,Camp,2026-04-05,,", "8,Binu,Alpha,Camp,2026-04-05,,")
    run(file)
    assert run(file).stored == 0
    assert calendar.default_site().name == "Main site"


def test_a_site_and_its_camps_of_a_day_are_the_same_in_whatever_capitals(tmp_path: Path) -> None:
    """Those that are here keep their names; new ones are called as the first row has them."""
    factories.camp(0, "Eye Camp", at=factories.site("École"))
    there = "ÉCOLE,eye  camp,2026-04-12"
    rows = [
        f"7,Asha,{there},,yes",
        f"8,Binu,{there},,yes",
        "7,Asha,North,Ärzte,2026-04-05,,",
        "8,Binu,north,ärzte,2026-04-05,,",
    ]
    report = run(put(tmp_path, *rows))
    assert (report.stored, report.new_camps) == (4, 1)
    assert [(camp.site.name, camp.name) for camp in db.session.scalars(select(Camp).order_by(Camp.camp_date))] == [
        ("North", "Ärzte"),
        ("École", "Eye Camp"),
    ]
    assert run(put(tmp_path, *rows)).unchanged == 4
    with pytest.raises(ImportRefused) as refused:
        run(put(tmp_path, rows[0], "7,Name,école,EYE CAMP,2026-04-12,,no"))
    assert "contradicts line 2" in refused.value.problems[0].reason


def test_the_first_site_may_be_named_or_not_in_the_same_file(tmp_path: Path) -> None:
    file = put(tmp_path, "7,Asha,,Camp,2026-04-05,,yes", "7,Asha,Main site,Camp,2026-04-05,,excused")
    with pytest.raises(ImportRefused, match="1 bad row"):
        run(file)
