"""People in the admin's office: added, changed, switched off, imported, forgotten."""

import io
import json
import re
from collections.abc import Callable
from random import Random

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from tests import factories
from tests.conftest import People
from tests.views.conftest import Camps
from webapp.database import db, writing
from webapp.domain.attendance import marking
from webapp.domain.audit import Action, Entry
from webapp.domain.jobs import Job, Upload
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Person, Role
from webapp.domain.privacy import erasure

As = Callable[[Person], FlaskClient]
OFFICE = "/office/people"


def stored(app: Flask, person: Person) -> Person:
    with app.app_context():
        found = accounts.by_id(person.id)
        assert found
        return found


def done_by(app: Flask, by: Person, person: Person) -> list[Action]:
    """What somebody did to another, as the audit trail has it."""
    with app.app_context():
        found = select(Entry.action).where(Entry.person_id == person.id, Entry.by_id == by.id)
        return list(db.session.scalars(found.order_by(Entry.at, Entry.action)))


@pytest.fixture
def admin(as_: As, people: People) -> FlaskClient:
    return as_(people.admin)


def test_the_way_there_is_for_admins_alone(admin: FlaskClient, as_: As, people: People) -> None:
    place = f"{OFFICE}/{people.volunteer.id}"
    assert 'href="/people/"' in admin.get("/office/").text
    for page in ("/people/", f"/people/{people.volunteer.id}"):
        assert place in admin.get(page).text
        assert OFFICE not in as_(people.coordinator).get(page).text
    assert f"{OFFICE}/add" in admin.get("/people/").text
    assert f"{OFFICE}/import" in admin.get("/people/").text


def test_somebody_is_added_with_the_number_given_or_the_next(app: Flask, admin: FlaskClient, people: People) -> None:
    response = admin.post(f"{OFFICE}/add", data={"name": "Lakshmi N.", "book_no": "77", "role": "coordinator"})
    with app.app_context():
        person = accounts.by_book_no(77)
    assert person
    assert (person.name, person.role, person.password_hash) == ("Lakshmi N.", Role.COORDINATOR, None)
    assert response.location == f"{OFFICE}/{person.id}"
    assert "has book number 77" in admin.get(response.location).text
    assert done_by(app, people.admin, person) == [Action.PERSON_ADDED]
    admin.post(f"{OFFICE}/add", data={"name": "Next", "book_no": "", "role": "volunteer"})
    with app.app_context():
        following = accounts.by_book_no(78)
    assert following
    assert following.name == "Next"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"name": ""}, "Please enter a name"),
        ({"name": "x" * 121}, "at most 120 fit"),
        ({"book_no": "twelve"}, "is not a book number"),
        ({"book_no": "1"}, "belongs to somebody already"),
        ({"role": "emperor"}, "Not a valid choice"),
    ],
)
def test_what_cannot_be_added_is_said_and_what_was_typed_is_kept(
    app: Flask, admin: FlaskClient, typed: dict[str, str], said: str
) -> None:
    response = admin.post(f"{OFFICE}/add", data={"name": "Kept Name", "book_no": "99", "role": "admin"} | typed)
    assert response.status_code == 422
    assert said in response.text
    assert ("Kept Name" in response.text) == ("name" not in typed)
    with app.app_context():
        assert len(db.session.scalars(select(Person)).all()) == 5


def test_name_and_role_are_changed_together(app: Flask, admin: FlaskClient, people: People) -> None:
    page = f"{OFFICE}/{people.volunteer.id}"
    response = admin.post(page, data={"name": "Asha Rao-Menon", "role": "coordinator"})
    assert response.location == page
    assert "Asha Rao-Menon" in admin.get(page).text
    person = stored(app, people.volunteer)
    assert (person.name, person.role) == ("Asha Rao-Menon", Role.COORDINATOR)
    assert done_by(app, people.admin, people.volunteer) == [Action.PERSON_CHANGED, Action.ROLE_CHANGED]


def test_a_page_opened_before_another_change_undoes_nothing_of_it(
    app: Flask, admin: FlaskClient, people: People
) -> None:
    page = f"{OFFICE}/{people.coordinator.id}"
    seen = {"seen_name": "Ravi Gowda", "seen_role": "coordinator"}
    assert all(f'name="{name}" value="{value}"' in admin.get(page).text for name, value in seen.items())
    admin.post(page, data=seen | {"name": "Ravi Gowda", "role": "volunteer"})
    admin.post(page, data=seen | {"name": "Ravi S. Gowda", "role": "coordinator"})  # a tab that was open already
    found = stored(app, people.coordinator)
    assert (found.name, found.role) == ("Ravi S. Gowda", Role.VOLUNTEER)


def test_the_last_admin_is_told_so_and_nothing_is_half_changed(app: Flask, admin: FlaskClient, people: People) -> None:
    page = f"{OFFICE}/{people.admin.id}"
    response = admin.post(page, data={"name": "New Name", "role": "volunteer"})
    assert response.status_code == 422
    assert "is the only admin" in response.text
    assert 'value="New Name"' in response.text
    assert (stored(app, people.admin).name, stored(app, people.admin).role) == ("Meera Krishnan", Role.ADMIN)
    response = admin.post(f"{page}/switch", data={"on": "no"})
    assert response.status_code == 409
    assert "is the only admin" in response.text
    response = admin.post(f"{page}/anonymise", data={"book_no": str(people.admin.book_no)})
    assert response.status_code == 409
    assert stored(app, people.admin).is_active


def test_an_account_is_switched_off_and_on(app: Flask, admin: FlaskClient, as_: As, people: People) -> None:
    page = f"{OFFICE}/{people.volunteer.id}"
    volunteer = as_(people.volunteer)
    assert volunteer.get("/cabinet").status_code == 200
    admin.post(f"{page}/switch", data={"on": "no"})
    assert "switched off" in admin.get(page).text
    assert volunteer.get("/cabinet").status_code == 302
    admin.post(f"{page}/switch", data={"on": "yes"})
    assert stored(app, people.volunteer).is_active
    assert done_by(app, people.admin, people.volunteer) == [Action.DEACTIVATED, Action.REACTIVATED]
    assert admin.post(f"{page}/switch", data={}).status_code == 400


def test_a_lost_card_is_replaced_from_the_account(app: Flask, admin: FlaskClient, people: People) -> None:
    page = f"{OFFICE}/{people.volunteer.id}"
    action = re.search(r'action="(/people/[^"]+/card)"', admin.get(page).text)
    assert action
    response = admin.post(action[1], headers={"Referer": f"http://localhost{page}"})
    assert response.location == f"http://localhost{page}"
    assert stored(app, people.volunteer).card_no == people.volunteer.card_no + 1
    assert done_by(app, people.admin, people.volunteer) == [Action.CARD_REPLACED]


def test_nobody_there_is_not_found(admin: FlaskClient) -> None:
    nobody = f"{OFFICE}/00000000-0000-0000-0000-000000000001"
    assert admin.get(nobody).status_code == 404
    for path in ("switch", "link", "anonymise"):
        assert admin.post(f"{nobody}/{path}", data={"on": "no"}).status_code == 404


# --- the list ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"Asha Rao", "Imran Pasha", "Meera Krishnan", "Nobody Now", "Ravi Gowda"}),
        ("?role=volunteer", {"Asha Rao", "Imran Pasha", "Nobody Now"}),
        ("?role=volunteer&state=on", {"Asha Rao", "Imran Pasha"}),
        ("?state=off", {"Nobody Now"}),
        ("?role=admin&q=asha", set()),
        ("?role=emperor&state=maybe&q=asha", {"Asha Rao", "Imran Pasha"}),
    ],
)
def test_the_list_is_filtered(as_: As, people: People, query: str, found: set[str]) -> None:
    coordinator = as_(people.coordinator)
    for path in ("/people/", "/people/rows"):
        page = coordinator.get(f"{path}{query}").text
        assert set(re.findall(r'<span class="name">([^<]+)</span>', page)) == found


def test_the_filters_stay_on_the_next_page(app: Flask, admin: FlaskClient) -> None:
    with app.app_context():
        for number in range(51):
            factories.person(f"Person {number:02}", role=Role.COORDINATOR)
    page = admin.get("/people/?role=coordinator&state=on").text
    following = re.search(r'rel="next" href="([^"]+)"', page)
    assert following
    page = admin.get(following[1].replace("&amp;", "&")).text
    assert len(re.findall(r'<span class="name">', page)) == 2
    assert "Page 2 of 2" in page


# --- importing ---------------------------------------------------------------------------------


def choose(client: FlaskClient, content: bytes, name: str = "people.csv") -> TestResponse:
    head = f'--x\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
    body = head + content + b"\r\n--x--\r\n"
    return client.post(f"{OFFICE}/import", data=body, content_type="multipart/form-data; boundary=x")


def sealed(page: TestResponse) -> str:
    found = re.search(r'name="sealed" value="([^"]+)"', page.text)
    assert found
    return found[1]


GOOD = "book_no;name;role\r\n100;Lakshmi N.;volunteer\r\n101;José;admin\r\n".encode("utf-8-sig")


def test_a_file_is_looked_at_and_then_stored_by_a_job(app: Flask, admin: FlaskClient, people: People) -> None:
    page = choose(admin, GOOD + f"{people.volunteer.book_no};Asha R.;\r\n".encode())
    assert page.status_code == 200
    assert "2 new people, 1 known already, 0 bad lines" in page.text
    assert "in the file: Asha R." in page.text
    with app.app_context():
        assert db.session.scalars(select(Upload)).all() == []
        assert accounts.by_book_no(100) is None
    response = admin.post(f"{OFFICE}/import/store", data={"sealed": sealed(page)})
    assert response.status_code == 303
    with app.app_context():
        factories.do_jobs()
        added = accounts.by_book_no(101)
        assert added
        assert (added.name, added.role) == ("José", Role.ADMIN)
    page = admin.get(response.location)
    assert "Import of people: people.csv" in page.text
    assert "1 row known already, 0 rows refused, 2 new people." in page.text
    again = choose(admin, GOOD)
    assert "0 new people, 2 known already" in again.text
    assert admin.post(f"{OFFICE}/import/store", data={"sealed": sealed(again)}).status_code == 409


def test_bad_lines_are_shown_told_whole_and_left_out_if_wished(app: Flask, admin: FlaskClient) -> None:
    content = GOOD + b"".join(b"x%d;Name;\r\n" % number for number in range(60)) + b"102;=Formula;boss\r\n"
    page = choose(admin, content)
    assert "61 bad lines" in page.text
    assert "Line 4" in page.text
    assert "“x0” is not a book number" in page.text
    assert "The first 50 of 61." in page.text
    report = admin.post(f"{OFFICE}/import/problems", data={"sealed": sealed(page)})
    assert report.mimetype == "text/csv"
    assert report.text.startswith("\ufeffline,reason\r\n4,")
    assert len(report.text.splitlines()) == 62
    refused = admin.post(f"{OFFICE}/import/store", data={"sealed": sealed(page)})
    assert refused.status_code == 409
    assert "61 bad row(s). Nothing was stored." in refused.text
    assert sealed(refused)
    with app.app_context():
        assert db.session.scalars(select(Job)).all() == []
    admin.post(f"{OFFICE}/import/store", data={"sealed": sealed(page), "keep_good": "yes"})
    with app.app_context():
        factories.do_jobs()
        assert accounts.by_book_no(100)
        assert accounts.by_book_no(102) is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "The file is empty"),
        (b"name,role\nAsha,admin\n", "missing: book_no"),
        (b"PK\x03\x04\xff\xff", "This is a workbook"),
        (b"sep=;\nbook_no;name\n17;Asha\n", "The first line only names the separator. Delete it"),
        (b"x" * 1_000_001, "at most 1,000,000 fit"),
    ],
)
def test_what_is_no_list_of_people_is_refused(admin: FlaskClient, content: bytes, said: str) -> None:
    response = choose(admin, content)
    assert response.status_code == 422
    assert said in response.text


def test_a_form_without_a_file_says_so(admin: FlaskClient) -> None:
    response = admin.post(f"{OFFICE}/import", data={})
    assert response.status_code == 422
    assert "Please choose a file." in response.text


def test_a_large_file_is_refused_before_it_is_read(
    app: Flask, admin: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "WTF_CSRF_ENABLED", True)  # the token is looked for in the form
    stream = io.BytesIO(b"0" * 3_000_000)
    response = admin.post(
        f"{OFFICE}/import",
        input_stream=stream,
        headers={"Content-Type": "multipart/form-data; boundary=x", "Content-Length": "2000000000"},
    )
    assert response.status_code == 413
    assert "more than 1,000,000 bytes" in response.text
    assert stream.tell() == 0


def test_the_largest_file_that_fits_goes_all_the_way(app: Flask, admin: FlaskClient) -> None:
    """Also one that cannot be compressed well, whose sealed form is larger than it is."""
    chance = Random(1)
    names = ("".join(chr(0x4E00 + chance.randrange(20_000)) for _ in range(40)) for _ in range(9_000))
    lines = "\n".join(f"{number},{name}" for number, name in enumerate(names, 1_000))
    content = f"book_no,name\n{lines}\n".encode()[:1_000_000].rpartition(b"\n")[0]
    page = choose(admin, content)
    assert page.status_code == 200
    assert admin.post(f"{OFFICE}/import/store", data={"sealed": sealed(page)}).status_code == 303


def test_a_preview_is_good_for_who_looked_alone(app: Flask, admin: FlaskClient, as_: As) -> None:
    with app.app_context():
        other = factories.person("Another Admin", role=Role.ADMIN)
    theirs = sealed(choose(as_(other), GOOD))
    for wrong in (theirs, "", "nonsense", sealed(choose(admin, GOOD))[:-1]):
        for path in ("store", "problems"):
            response = admin.post(f"{OFFICE}/import/{path}", data={"sealed": wrong})
            assert response.status_code == 400
            assert "Choose the file again" in response.text


# --- taking along, and forgetting ---------------------------------------------------------------


def test_somebody_takes_along_what_is_kept_of_them_and_of_nobody_else(
    app: Flask, as_: As, people: People, camps: Camps
) -> None:
    with app.app_context(), writing():
        marking.mark_present(people.volunteer, camps.past, by=people.coordinator)
        marking.excuse(people.volunteer, camps.today, by=people.coordinator, reason="has a fever")
        marking.mark_present(people.other, camps.today, by=people.volunteer)
        for name in ("Asha Menon", "Asha Rao"):
            accounts.rename(people.volunteer, name)
    response = as_(people.volunteer).post("/account/data")
    assert response.mimetype == "application/json"
    assert "attachment" in response.headers["Content-Disposition"]
    found = json.loads(response.text)
    assert found["profile"]["name"] == "Asha Rao"
    assert found["profile"]["former_names"] == ["Asha Menon"]
    assert [(each["camp"], each["state"], each["reason"]) for each in found["attendance"]] == [
        ("Past camp", "present", None),
        ("Camp of today", "excused", "has a fever"),
    ]
    assert "site" not in found["attendance"][0]
    assert [(each["badge"], each["camp"], each["is_held"]) for each in found["awards"]] == [
        ("First Step", "Past camp", True)
    ]
    own = [(each["action"], each["by_me"], each["about_me"]) for each in found["audit"]]
    assert ("excused", False, True) in own
    assert ("present", True, False) in own
    assert ("data_downloaded", True, True) in own
    for others in (people.other, people.coordinator):
        assert str(others.id) not in response.text
        assert others.name not in response.text
    assert as_(people.volunteer).get("/account/data").status_code == 405
    assert "Download my data" in as_(people.volunteer).get("/account").text


def test_the_site_is_named_where_there_are_several(app: Flask, as_: As, people: People, camps: Camps) -> None:
    with app.app_context():
        camp = factories.camp(2, "Elsewhere", factories.site("Second site"))
        factories.attend(people.volunteer, [camp], people.coordinator)
    found = json.loads(as_(people.volunteer).post("/account/data").text)
    assert found["attendance"][0]["site"] == "Second site"


def test_forgetting_somebody_says_what_it_means_and_asks_for_their_number(
    app: Flask, admin: FlaskClient, people: People, camps: Camps
) -> None:
    page = f"{OFFICE}/{people.volunteer.id}"
    asked = admin.get(f"{page}/anonymise").text
    for said in ("Former volunteer", "for good", "figures of camps stay true", "backups", "“Asha is ill”"):
        assert said in asked
    assert "part of the name</h2>" not in asked
    with app.app_context(), writing():
        marking.excuse(people.other, camps.past, by=people.coordinator, reason="drives Asha home")
    asked = admin.get(f"{page}/anonymise").text
    assert "1 excuse has a part of the name" in asked
    place = f"/roll-call/{camps.past.id}/people/{people.other.id}"
    assert f'href="{place}"' in asked
    admin.post(place, data={"state": "excused", "reason": "drives a friend home"})
    assert "part of the name</h2>" not in admin.get(f"{page}/anonymise").text
    refused = admin.post(f"{page}/anonymise", data={"book_no": str(people.other.book_no)})
    assert refused.status_code == 422
    assert "not the book number of Asha Rao" in refused.text
    assert stored(app, people.volunteer).name == "Asha Rao"
    done = admin.post(f"{page}/anonymise", data={"book_no": f" {people.volunteer.book_no} "})
    assert done.location == page
    after = admin.get(page).text
    assert "was anonymised" in after
    assert "Asha" not in after
    assert "<form method" not in after.partition("<main")[2]
    assert Action.ANONYMISED in done_by(app, people.admin, people.volunteer)


def test_nothing_brings_somebody_back_who_is_forgotten(app: Flask, admin: FlaskClient, people: People) -> None:
    with app.app_context(), writing():
        erasure.anonymise(accounts.by_id(people.volunteer.id) or people.volunteer)
    page = f"{OFFICE}/{people.volunteer.id}"
    for path, data in (
        ("", {"name": "Asha Rao", "role": "volunteer"}),
        ("/switch", {"on": "yes"}),
        ("/link", {}),
        ("/anonymise", {"book_no": str(people.volunteer.book_no)}),
    ):
        assert admin.post(f"{page}{path}", data=data).status_code == 409, path
    assert admin.get(f"{page}/anonymise").status_code == 409
    known = choose(admin, f"book_no,name\n{people.volunteer.book_no},Asha Rao\n".encode())
    assert "Former volunteer" in known.text
    assert "in the file" not in known.text
    person = stored(app, people.volunteer)
    assert (person.name, person.is_active) == ("Former volunteer", False)
