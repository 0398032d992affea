"""The leaderboard and the list of people."""

from collections.abc import Callable

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event

from tests import factories
from tests.conftest import People
from tests.factories import attend, weekly
from webapp.database import db
from webapp.domain.people.accounts import Person, Role

As = Callable[[Person], FlaskClient]


def queries_of(app: Flask, ask: Callable[[], object]) -> int:
    """How many statements a request sends."""
    sent: list[str] = []
    with app.app_context():
        engine = db.engine

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    ask()
    event.remove(engine, "before_cursor_execute", note)
    return len(sent)


def test_ranks_hold_across_pages(app: Flask, as_: As, people: People) -> None:
    with app.app_context():
        camps = weekly(2)
        for number in range(60):
            person = factories.person(f"Person {number:02}")
            if number < 55:
                attend(person, camps[: 1 + (number < 2)], people.coordinator)
    admin = as_(people.admin)
    first, second = admin.get("/leaderboard/").text, admin.get("/leaderboard/?page=2").text
    assert "Page 1 of 2" in first
    assert "Person 54" in second
    ranks = [part.partition("<")[0] for part in second.split('<td role="cell" class="number">')[1::3]]
    assert ranks == ["3"] * 5 + ["56"] * 7
    assert "Page 2 of 2" in admin.get("/leaderboard/?page=99").text
    for nonsense in ("0", "-3", "x"):
        assert "Page 1 of 2" in admin.get(f"/leaderboard/?page={nonsense}").text


def test_an_empty_leaderboard_says_so(app: Flask, as_: As) -> None:
    with app.app_context():
        admin = factories.person("Meera", role=Role.ADMIN)
    assert "Nobody to show yet" in as_(admin).get("/leaderboard/").text


def test_no_page_asks_more_for_more_rows(app: Flask, as_: As, people: People) -> None:
    admin = as_(people.admin)
    with app.app_context():
        camp = weekly(1)
        attend(people.volunteer, camp, people.coordinator)
    pages = ["/leaderboard/", "/people/", f"/roll-call/{camp[0].id}", f"/people/{people.volunteer.id}"]
    for _ in range(3):  # the third snapshot of the board is the first that deletes one
        admin.get(pages[0])
    few = [queries_of(app, lambda page=page: admin.get(page)) for page in pages]  # type: ignore[misc]
    with app.app_context():
        for number in range(30):
            attend(factories.person(f"Person {number}"), camp, people.coordinator)
        attend(people.volunteer, weekly(12, "Other"), people.coordinator)
    many = [queries_of(app, lambda page=page: admin.get(page)) for page in pages]  # type: ignore[misc]
    assert many == few
    assert max(few) <= 25


def test_pages_and_queries_may_be_nonsense(as_: As, people: People) -> None:
    admin = as_(people.admin)
    for query in ("page=99999999999999999999999", "page=-1", "page=x", "q=%00", "q=%CC%80", "q=" + "x" * 5000):
        assert admin.get(f"/people/?{query}").status_code == 200, query
        assert admin.get(f"/leaderboard/?{query}").status_code == 200, query
        for paged in ("jobs", "import", "camps", "badges"):
            assert admin.get(f"/office/{paged}/?{query}").status_code == 200, (paged, query)


def test_days_of_the_trail_may_be_nonsense(as_: As, people: People) -> None:
    for day in ("0001-01-01", "9999-12-31", "2026-02-30", "x"):
        for name in ("since", "until"):
            page = as_(people.admin).get(f"/office/trail/?{name}={day}")
            assert page.status_code == 422, (name, day)
            assert "is not a date such as 2026-04-12" in page.text


def test_people_are_found_while_typing(as_: As, people: People) -> None:
    coordinator = as_(people.coordinator)
    page = coordinator.get("/people/?q=pasha").text
    rows = coordinator.get("/people/rows?q=pasha").text
    assert rows.strip() in page
    assert "Imran Pasha" in rows
    assert "Asha Rao" not in rows
    assert "Nobody matches “xyz”" in coordinator.get("/people/?q=xyz").text
