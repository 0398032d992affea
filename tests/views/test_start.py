"""The first day of a new organisation, its settings, and what pages say while they are empty."""

import re
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from tests import factories
from tests.conftest import SUNDAY, People
from tests.factories import PASSWORD, attend
from tests.views.test_trail import words
from webapp import clock
from webapp.database import db
from webapp.domain import audit_search
from webapp.domain.audit import Action
from webapp.domain.audit_search import AuditFilter
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import Camp
from webapp.domain.organisation import onboarding, settings
from webapp.domain.people import accounts, credentials
from webapp.domain.people.accounts import Person, Role

As = Callable[[Person], FlaskClient]
START = "/office/start/"


@pytest.fixture
def admin(app: Flask) -> Person:
    """The first person of a new installation."""
    with app.app_context():
        return factories.with_password(factories.person("Meera Krishnan", role=Role.ADMIN))


@pytest.fixture
def browser(as_: As, admin: Person) -> FlaskClient:
    return as_(admin)


def next_of(page: str) -> str:
    found = re.search(r'id="step-(\w+)"[^>]*aria-current="step"', page)
    return found[1] if found else ""


def test_a_new_installation_says_how_the_first_admin_is_made(app: Flask, client: FlaskClient) -> None:
    assert "flask --app wsgi create-admin" in client.get("/sign-in").text
    app.test_cli_runner().invoke(args=["create-admin", "--name", "Meera"], input=f"{PASSWORD}\n{PASSWORD}\n")
    assert "create-admin" not in client.get("/sign-in").text
    entered = client.post("/sign-in", data={"book_no": "1", "password": PASSWORD})
    assert entered.location == START
    assert client.get("/").location == START


def test_an_admin_is_led_through_it(app: Flask, browser: FlaskClient) -> None:
    steps = [
        ("organisation", {"organisation": " Arogya  Camps ", "time_zone": "Asia/Colombo"}, "Arogya Camps it is."),
        (
            "camp",
            {"camp": "Hoskote", "camp_date": "2026-04-12", "start_time": "08:30", "place": "Main site"},
            "Hoskote is on the calendar, Sun 12 April 2026.",
        ),
        ("people", {"people": "Asha Rao\n\n7 Imran Pasha\r\nRavi Gowda, 9\n"}, "3 people are here now."),
        ("coordinator", {"who": "ravi", "password": PASSWORD}, "Ravi Gowda is a coordinator"),
    ]
    for step, data, said in steps:
        assert next_of(browser.get(START).text) == step
        answer = browser.post(f"{START}{step}", data=data)
        assert answer.status_code == 303, words(answer.text)
        assert said in words(browser.get(answer.location).text)
    page = browser.get(START).text
    assert next_of(page) == "roll_call"
    assert "Open the roll call" in page
    with app.app_context():
        (camp,) = db.session.scalars(select(Camp))
        assert (camp.name, camp.start_time.hour, camp.site.name) == ("Hoskote", 8, calendar.DEFAULT_SITE)
        assert (settings.name(), camp.site.time_zone) == ("Arogya Camps", "Asia/Colombo")
        numbers = dict(db.session.execute(select(Person.name, Person.book_no)).tuples().all())
        assert numbers == {"Meera Krishnan": 1, "Imran Pasha": 7, "Ravi Gowda": 9, "Asha Rao": 10}
        ravi = credentials.authenticate(9, PASSWORD)
        assert ravi is not None
        assert ravi.role is Role.COORDINATOR
        asha = accounts.by_book_no(10)
        assert asha is not None
    assert "site" not in words(page).lower()

    browser.post(f"/roll-call/{camp.id}/people/{asha.id}", data={"state": "present"})
    assert browser.get("/").location == "/leaderboard/"
    over = browser.get(START).text
    assert "Your organisation is at work" in over
    assert next_of(over) == ""
    said = words(browser.get("/office/trail/").text)
    for sentence in (
        "Meera Krishnan changed the settings: name is “Arogya Camps”",
        "Meera Krishnan changed the place where camps are held (time zone from Asia/Kolkata to Asia/Colombo)",
        "Meera Krishnan put Hoskote, Sun 12 April 2026 on the calendar",
        "Meera Krishnan added Ravi Gowda",
        "Meera Krishnan changed the role of Ravi Gowda from volunteer to coordinator",
        "Meera Krishnan gave Ravi Gowda a new password",
    ):
        assert sentence in said


def test_it_can_be_skipped_and_found_again(browser: FlaskClient) -> None:
    assert browser.get("/").location == START
    assert "The first day" in words(browser.get("/office/").text)
    assert browser.post(f"{START}skip").location == "/office/"
    assert browser.get("/").location == "/leaderboard/"
    assert "A few steps" not in words(browser.get("/office/").text)
    assert START in browser.get("/office/settings/").text
    assert browser.get(START).status_code == 200


def test_only_admins_are_led(app: Flask, as_: As, admin: Person) -> None:
    with app.app_context():
        coordinator = factories.person("Ravi", role=Role.COORDINATOR)
    assert as_(coordinator).get("/").location == "/roll-call/"


@pytest.mark.parametrize(
    ("step", "data", "said"),
    [
        ("organisation", {"organisation": "  ", "time_zone": "Asia/Kolkata"}, "An organisation needs a name."),
        ("organisation", {"organisation": "x" * 61, "time_zone": "Asia/Kolkata"}, "at most 60 fit"),
        (
            "organisation",
            {"organisation": "Arogya", "time_zone": "Asia/Atlantis"},
            "“Asia/Atlantis” is not a",
        ),
        ("organisation", {"organisation": "Arogya", "time_zone": "../../etc/passwd"}, "is not a time zone"),
        ("organisation", {}, "An organisation needs a name."),
        ("camp", {"camp": "", "camp_date": "2026-04-12"}, "The camp needs a name."),
        ("camp", {"camp": "Hoskote", "camp_date": "12/04/2026"}, "“12/04/2026” is not a date"),
        ("camp", {"camp": "Hoskote", "camp_date": "0001-01-01"}, "is before 1900; is it a slip of the pen?"),
        ("camp", {"camp": "Hoskote", "camp_date": "2026-04-12", "start_time": "nine"}, "“nine” is not a time"),
        ("camp", {"camp": "Hoskote", "camp_date": "2026-04-12", "place": "x" * 200}, "The name of the place has"),
        ("people", {"people": " \n "}, "Nobody was typed."),
        ("people", {"people": "Asha Rao\n" + "x" * 130}, "Line 2: This name has 130 characters"),
        ("people", {"people": "Meera Krishnan"}, "Line 1: Meera Krishnan is here already, with book number 1."),
        ("people", {"people": "Asha\nasha"}, "Line 2: asha is in the list twice"),
        ("people", {"people": "1 Asha"}, "Line 1: book number 1 belongs to Meera Krishnan."),
        ("people", {"people": "5 Asha\n5 Imran"}, "Line 2: book number 5 is in the list twice."),
        ("people", {"people": "99999999999 Asha"}, "is not a book number"),
        ("people", {"people": "-5 Asha"}, "“-5” is not a book number"),
        ("people", {"people": "Asha\n12345"}, "Line 2: a number without a name."),
        (
            "people",
            {"people": "\n".join(f"{n} Somebody" for n in range(100, 401))},
            "At most 300",
        ),
        ("coordinator", {"who": "", "password": PASSWORD}, "Say who it is."),
        ("coordinator", {"who": "zzz", "password": PASSWORD}, "Nobody matches “zzz”."),
        ("coordinator", {"who": "meera", "password": PASSWORD}, "Meera Krishnan is admin already."),
        ("coordinator", {"who": "imran", "password": "short"}, "at least 8 characters"),
        (
            "coordinator",
            {"who": "pasha", "password": PASSWORD},
            "This fits several: Farah Pasha (12), Imran",
        ),
    ],
)
def test_bad_input_is_said_at_the_field_and_kept(
    app: Flask, browser: FlaskClient, step: str, data: dict[str, str], said: str
) -> None:
    with app.app_context():
        if step == "coordinator":
            factories.person("Imran Pasha", book_no=11)
            factories.person("Farah Pasha", book_no=12)

    def everything() -> list[object]:
        with app.app_context():
            people = db.session.execute(select(Person.name, Person.role, Person.password_hash).order_by(Person.book_no))
            place = calendar.default_site()
            return [*people.all(), settings.name(), place.name, db.session.scalar(select(func.count(Camp.id)))]

    before = everything()
    answer = browser.post(f"{START}{step}", data=data)
    assert answer.status_code == 422
    assert said in words(answer.text)
    assert re.search(rf'id="step-{step}".*?<details open', answer.text, re.DOTALL)
    for name, value in data.items():
        if name not in ("password", "time_zone") and value.strip():
            assert value.split("\n")[0] in answer.text, name
    assert everything() == before


def test_the_same_again_changes_nothing(app: Flask, browser: FlaskClient) -> None:
    camp = {"camp": "Hoskote", "camp_date": "2026-04-12", "start_time": "", "place": ""}
    assert browser.post(f"{START}camp", data=camp).status_code == 303
    again = browser.post(f"{START}camp", data=camp)
    assert again.status_code == 422
    assert "is on the calendar of that day already" in words(again.text)
    people = {"people": "Asha Rao\nImran Pasha"}
    assert browser.post(f"{START}people", data=people).status_code == 303
    again = browser.post(f"{START}people", data=people)
    assert "Line 2: Imran Pasha is here already, with book number 3." in words(again.text)
    assert "Nobody was added." in words(again.text)
    who = {"who": "3", "password": PASSWORD}
    assert browser.post(f"{START}coordinator", data=who).status_code == 303
    assert "Imran Pasha is coordinator already" in words(browser.post(f"{START}coordinator", data=who).text)
    with app.app_context():
        assert db.session.scalar(select(func.count(Person.id))) == 3


def test_the_place_keeps_its_name_unless_they_want_another(app: Flask, browser: FlaskClient) -> None:
    data = {"camp": "Hoskote", "camp_date": "2026-04-12", "place": "East  Bangalore"}
    assert browser.post(f"{START}camp", data=data).status_code == 303
    with app.app_context():
        assert [site.name for site in calendar.sites()] == ["East Bangalore"]
        (entry,) = audit_search.entries(AuditFilter(action=Action.SITE_CHANGED), limit=5)
        assert entry.facts["after"] == {"name": "East Bangalore"}
    said = words(browser.get("/office/trail/?action=site_changed").text)
    assert "changed the place East Bangalore (name from Main site to East Bangalore)" in said


def test_settings_can_be_changed_later(app: Flask, as_: As, people: People) -> None:
    admin = as_(people.admin)
    page = admin.get("/office/settings/").text
    assert '<option selected value="Asia/Kolkata">' in page
    assert (
        admin.post("/office/settings/", data={"organisation": "Arogya", "time_zone": "Europe/Paris"}).status_code == 303
    )
    page = admin.get("/office/settings/").text
    assert "The settings are saved." in page
    assert 'value="Arogya"' in page
    assert '<option selected value="Europe/Paris">' in page
    refused = admin.post("/office/settings/", data={"organisation": "New name", "time_zone": "Mars/Base"})
    assert refused.status_code == 422
    assert 'value="New name"' in refused.text
    opened = {"seen_organisation": "Arogya", "seen_time_zone": "Europe/Paris"}  # before both changes
    assert all(f'name="{name}" value="{value}"' in page for name, value in opened.items())
    for data in (
        {"organisation": "Asha", "time_zone": "Europe/Paris"},
        {"organisation": "Arogya", "time_zone": "Asia/Kolkata"},
    ):
        assert admin.post("/office/settings/", data=opened | data).status_code == 303
    with app.app_context():
        assert (settings.name(), settings.time_zone()) == ("Asha", "Asia/Kolkata")
        entries = audit_search.entries(AuditFilter(action=Action.SITE_CHANGED), limit=5)
        moved = [(entry.facts["before"], entry.facts["after"]) for entry in entries]
        home, paris = {"time_zone": "Asia/Kolkata"}, {"time_zone": "Europe/Paris"}
        assert moved in ([(home, paris), (paris, home)], [(paris, home), (home, paris)])  # at the same moment


@pytest.mark.parametrize(
    ("path", "said", "way"),
    [
        ("/people/", "Only you so far.", f"{START}#step-people"),
        ("/leaderboard/", "Nobody to show yet.", f"{START}#step-people"),
        ("/roll-call/", "There is no camp today.", "/office/calendar"),
        ("/office/jobs/", "No jobs yet.", "/office/"),
        ("/office/trail/?action=present", "Nothing of the kind was done.", "/office/trail/"),
    ],
)
def test_empty_pages_say_what_to_do_next(browser: FlaskClient, path: str, said: str, way: str) -> None:
    page = browser.get(path).text
    assert said in words(page)
    assert f'href="{way}"' in page


def test_the_hub_shows_every_place_and_what_was_done_lately(app: Flask, as_: As, people: People) -> None:
    page = as_(people.admin).get("/office/").text
    for way in ("/office/jobs/", "/office/trail/", "/office/settings/", START):
        assert f'href="{way}"' in page
    assert "The command line added" in words(page)


def test_the_first_day_is_told_from_the_data(app: Flask, people: People) -> None:
    with app.app_context():
        standing = onboarding.standing()
        assert (standing.has_people, standing.has_coordinator, standing.next) == (True, True, "organisation")
        camp = factories.camp()
        assert not onboarding.is_over()
        attend(people.volunteer, [camp], people.coordinator)
        assert onboarding.is_over()
        assert clock.now() == SUNDAY


def test_a_forgotten_camp_of_the_past_is_left_to_the_calendar(app: Flask, browser: FlaskClient) -> None:
    with app.app_context():
        factories.camp(7)
    data = {"camp": "Retro", "camp_date": "2026-03-01", "place": ""}
    answer = browser.post(f"{START}camp", data=data)
    assert answer.status_code == 422
    assert "added in the calendar" in words(answer.text)
    assert 'value="Retro"' in answer.text
    for start_time in ("09:00+05:30", "T09Z"):
        told = browser.post(f"{START}camp", data=data | {"camp_date": "2026-04-19", "start_time": start_time})
        assert "is not a time such as 09:00" in words(told.text)
    with app.app_context():
        assert db.session.scalar(select(func.count(Camp.id))) == 1
