"""The leaderboard's pages: boards, finding somebody, where one stands, and staying off them."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests import factories
from tests.conftest import SUNDAY, People
from tests.factories import attend
from tests.views.test_lists import queries_of
from webapp import clock, worker
from webapp.database import writing
from webapp.domain.camps.calendar import Site
from webapp.domain.leaderboard import snapshots
from webapp.domain.leaderboard.snapshots import Key
from webapp.domain.people.accounts import Person

As = Callable[[Person], FlaskClient]


@pytest.fixture
def north(app: Flask, people: People) -> Site:
    """The volunteer came twice at the first site, the other three times at another, once last year."""
    with app.app_context():
        attend(people.volunteer, [factories.camp(1), factories.camp(0)], people.coordinator)
        site = factories.site("North")
        camps = [factories.camp(weeks, "Camp", site) for weeks in (30, 3, 2)]
        attend(people.other, camps, people.coordinator)
    return site


def names(page: str) -> list[str]:
    """Whom the board shows, in order."""
    return re.findall(r'scope="row">(?:<a[^>]*>)?([^<]+)', page)


def ranks(page: str) -> list[str]:
    return re.findall(r'<tr role="row" id="line-[^>]*>\s*<td role="cell" class="number">([^<]+)', page)


def test_every_board_has_an_address(as_: As, people: People, north: Site) -> None:
    admin = as_(people.admin)
    both = ["Imran Pasha", "Asha Rao"]
    for query, expected in {
        "": both,
        "by=streak": both,
        "by=run": both,  # as it was called once
        "by=badges": both,
        "period=this-year": ["Asha Rao", "Imran Pasha"],
        "period=12-months": both,
        "period=2025": ["Imran Pasha"],
        "period=2024": [],
        f"site={north.id}": ["Imran Pasha"],
        f"site={north.id}&period=2025&by=streak": ["Imran Pasha"],
    }.items():
        assert names(admin.get(f"/leaderboard/?{query}").text) == expected, query


def test_what_an_address_says_wrongly_is_the_usual(as_: As, people: People, north: Site) -> None:
    admin = as_(people.admin)
    usual = admin.get("/leaderboard/").text
    for query in ("by=shoes", "period=yesterday", "period=20265", "site=x", f"site={people.admin.id}", "person=x"):
        assert names(admin.get(f"/leaderboard/?{query}").text) == names(usual), query
    assert admin.get("/leaderboard/?period=9999").status_code == 200
    for no_year in ("0000", "0001", "٢٠٢٥", "²²²²"):
        assert '<option value="all" selected>' in admin.get(f"/leaderboard/?period={no_year}").text, no_year


def test_the_order_is_said_and_the_one_who_is_found_too(as_: As, people: People, north: Site) -> None:
    page = as_(people.admin).get(f"/leaderboard/?by=streak&person={people.other.id}").text
    assert re.findall(r'aria-sort="descending">([^<]+)', page) == ["Longest streak"]
    assert page.count(">Found<") == 1


def test_the_one_who_is_found_is_shown_on_their_line(app: Flask, as_: As, people: People) -> None:
    with app.app_context():
        camp = factories.camp(0)
        for number in range(60):
            attend(factories.person(f"Person {number:02}"), [camp], people.coordinator)
    admin = as_(people.admin)
    found = admin.get("/leaderboard/?q=person+57")
    assert found.status_code == 302
    page = admin.get(found.location).text
    assert "Page 2 of 2" in page
    (line,) = re.findall(r'<tr[^>]* aria-current="true">.*?</tr>', page, re.DOTALL)
    assert "Person 57" in line
    several = admin.get("/leaderboard/?q=person").text
    assert several.count('class="name">Person') == 8
    assert "And others" in several
    with app.app_context():
        factories.person("Person")
    assert ">Person</span>" in admin.get("/leaderboard/?q=person").text  # whose name has no longer part
    assert "matches “zzz”" in admin.get("/leaderboard/?q=zzz").text
    assert "matches “%”" in admin.get("/leaderboard/?q=%25").text


def test_somebody_who_is_not_on_a_board_is_said_not_to_be(as_: As, people: People, north: Site) -> None:
    page = as_(people.admin).get(f"/leaderboard/?site={north.id}&person={people.volunteer.id}").text
    assert "Asha Rao is not on this leaderboard" in page


def test_where_one_stands_is_for_the_organisation_to_show(as_: As, people: People, north: Site) -> None:
    volunteer, admin = as_(people.volunteer), as_(people.admin)
    assert volunteer.get("/leaderboard/mine").status_code == 404
    assert "Where I stand" not in volunteer.get("/cabinet").text
    assert (
        "see where they stand"
        in admin.post("/leaderboard/neighbourhoods", data={"show": "yes"}, follow_redirects=True).text
    )
    page = volunteer.get("/leaderboard/mine").text
    assert names(page) == ["Imran Pasha", "Asha Rao "]
    assert ">You<" in page
    assert "/people/" not in page
    assert "Where I stand" in volunteer.get("/cabinet").text
    assert "You came to no camp as a volunteer in this time" in volunteer.get("/leaderboard/mine?period=2025").text
    assert "for volunteers" in as_(people.coordinator).get("/leaderboard/mine").text
    admin.post("/leaderboard/neighbourhoods", data={"show": "no"})
    assert volunteer.get("/leaderboard/mine").status_code == 404


def test_who_opts_out_is_nowhere_and_keeps_the_badges(as_: As, people: People, north: Site) -> None:
    volunteer, admin = as_(people.volunteer), as_(people.admin)
    admin.post("/leaderboard/neighbourhoods", data={"show": "yes"})
    said = volunteer.post("/account/leaderboards", data={"show": "no"}, follow_redirects=True).text
    assert "You are on no leaderboard any more" in said
    board = admin.get("/leaderboard/").text
    assert (names(board), ranks(board)) == (["Imran Pasha"], ["1"])
    assert "1 volunteer" in board
    assert "matches “asha rao”" in admin.get("/leaderboard/?q=asha+rao").text
    assert "Asha" not in as_(people.other).get("/leaderboard/mine").text
    assert "as you wished" in volunteer.get("/leaderboard/mine").text
    assert "First Step" in volunteer.get("/cabinet").text
    volunteer.post("/account/leaderboards", data={"show": "yes"})
    assert names(admin.get("/leaderboard/").text) == ["Imran Pasha", "Asha Rao"]


@pytest.mark.parametrize("body", [{}, {"show": "perhaps"}])
def test_opting_out_says_what_it_needs(as_: As, people: People, body: dict[str, str]) -> None:
    assert as_(people.volunteer).post("/account/leaderboards", data=body).status_code == 400


def test_a_board_asks_no_more_for_more_people(app: Flask, as_: As, people: People, north: Site) -> None:
    admin = as_(people.admin)
    pages = [
        "/leaderboard/?period=2026",
        f"/leaderboard/?site={north.id}&by=badges",
        f"/leaderboard/?person={people.other.id}",
    ]
    for page in 3 * pages:  # the third snapshot is the first that deletes one
        admin.get(page)
    few = [queries_of(app, lambda page=page: admin.get(page)) for page in pages]  # type: ignore[misc]
    with app.app_context():
        camp = factories.camp(0, "Another")
        for number in range(30):
            attend(factories.person(f"Person {number}"), [camp], people.coordinator)
    assert [queries_of(app, lambda page=page: admin.get(page)) for page in pages] == few  # type: ignore[misc]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Key]:
    """The boards that a worker is told to build, in an organisation so large that readers build none."""
    told: list[Key] = []
    monkeypatch.setattr(snapshots, "SMALL", 0)
    monkeypatch.setattr(snapshots, "QUICK", 100)
    monkeypatch.setattr(worker, "enqueue_board", told.append)
    return told


def built(app: Flask, key: Key = snapshots.OVERALL, *, took: int) -> None:
    """A board that took so many milliseconds."""
    with app.app_context(), writing():
        snapshots.build(key).took = took


def test_a_large_board_says_as_of_when_it_is(app: Flask, as_: As, people: People, north: Site, told: list[Key]) -> None:
    admin = as_(people.admin)
    built(app, took=60_000)
    with app.app_context():
        attend(people.other, [factories.camp(0, "Another")], people.coordinator)
    page = admin.get("/leaderboard/").text
    assert "Equal figures share a rank. As of 11:30." in page
    assert re.findall(r'<td role="cell" class="number">(\d+)</td>', page) == ["1", "3", "3", "2", "2", "2"]
    assert told == []  # it was built just now
    with clock.stopped_at(SUNDAY + timedelta(minutes=11)):
        for _ in range(3):
            assert "As of 11:30." in admin.get("/leaderboard/").text
        assert told == [snapshots.OVERALL]
    with clock.stopped_at(SUNDAY + timedelta(days=1)):
        assert "As of 11:30 on Sun 12 April 2026." in admin.get("/leaderboard/").text
        with app.app_context():
            worker.build_board(snapshots.OVERALL)
        page = admin.get("/leaderboard/").text
        assert "As of" not in page
        assert re.findall(r'<td role="cell" class="number">(\d+)</td>', page)[:3] == ["1", "4", "3"]


def test_an_up_to_date_board_says_nothing_of_a_time(
    app: Flask, as_: As, people: People, north: Site, told: list[Key]
) -> None:
    with clock.stopped_at(SUNDAY + timedelta(minutes=1)):
        built(app, took=60_000)
        assert "As of" not in as_(people.admin).get("/leaderboard/").text
    assert told == []


def test_a_first_large_board_is_prepared_by_the_worker(
    app: Flask, as_: As, people: People, north: Site, told: list[Key]
) -> None:
    admin, volunteer = as_(people.admin), as_(people.volunteer)
    admin.post("/leaderboard/neighbourhoods", data={"show": "yes"})
    of_other = f"/leaderboard/?person={people.other.id}"
    for browser, path in ((admin, "/leaderboard/"), (admin, of_other), (volunteer, "/leaderboard/mine")):
        page = browser.get(path)
        assert page.status_code == 200
        assert "This leaderboard is being prepared" in page.text
        assert "a minute" in page.text
        assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in page.text
        assert "is not on this leaderboard" not in page.text
    assert told == [snapshots.OVERALL]
    said = admin.post("/office/export/standings.csv", follow_redirects=True).text
    assert "The leaderboard is being prepared" in said
    with clock.stopped_at(SUNDAY + timedelta(minutes=3)):
        later = admin.get("/leaderboard/").text
        assert "since 11:30 the background worker has been told" in later
        assert told == [snapshots.OVERALL] * 2
    with app.app_context():
        worker.build_board(snapshots.OVERALL)
    assert names(admin.get("/leaderboard/").text) == ["Imran Pasha", "Asha Rao"]
    assert "http-equiv" not in admin.get("/leaderboard/").text
