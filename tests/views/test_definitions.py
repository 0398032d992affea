"""The screens of badges: list, one, draft, preview, what it would do, saving; retiring; and cabinets that tell."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from tests import factories
from tests.conftest import SUNDAY, People
from tests.factories import attend, change, do_jobs, weekly
from tests.views.conftest import HTMX
from webapp import clock
from webapp.database import db, writing
from webapp.domain.badges import awards, definitions
from webapp.domain.badges.criteria import CRITERIA
from webapp.domain.badges.definitions import ARTWORK, Draft
from webapp.domain.camps.calendar import Camp
from webapp.domain.jobs import Job
from webapp.domain.models.badge import Badge
from webapp.domain.people.accounts import Person
from webapp.views.definitions import PARTS

As = Callable[[Person], FlaskClient]
Token = Callable[[Person], dict[str, str]]

TYPED = {
    "name": "Twice Here",
    "description": "Awarded for coming back!",
    "criteria_type": "visits",
    "criteria_value": "2",
    "shape": "petals",
    "metal": "silver",
    "ribbon": "green",
    "emblem": "sprout",
}


@pytest.fixture
def admin(as_: As, people: People) -> FlaskClient:
    return as_(people.admin)


@pytest.fixture
def came(app: Flask, people: People) -> None:
    """The volunteer came three times, the other and eleven more twice."""
    with app.app_context():
        camps = weekly(3, "Hosur")
        attend(people.volunteer, camps, people.coordinator)
        for person in [people.other, *(factories.person(f"Person {number:02}") for number in range(11))]:
            attend(person, camps[:2], people.coordinator)


@pytest.fixture
def badge_id(app: Flask) -> UUID:
    """Of Certified Volunteer, which asks for three camps."""
    with app.app_context():
        return factories.named("Certified Volunteer").id


def fields(page: str) -> dict[str, str]:
    """What a form would send: hidden fields, text fields, and the radio buttons that are chosen."""
    sent = {}
    for tag in re.findall(r"<input [^>]*>", page):
        given = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if given.get("type") != "radio" or tag.endswith("checked>"):
            sent[given["name"]] = given.get("value", "")
    return sent


def number_of_badges(app: Flask) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(Badge)) or 0


def test_the_list_says_what_each_asks_for_and_who_has_it(admin: FlaskClient, came: None) -> None:
    page = admin.get("/office/badges/").text
    assert "3 camps in a row · 1 person has it" in page
    assert "1 camp · 13 people have it" in page
    assert "36 camps · 0 people have it" in page
    assert 'href="/office/badges/"' in admin.get("/office/").text


def test_the_list_is_paged_and_the_retired_come_last(app: Flask, admin: FlaskClient) -> None:
    with app.app_context():
        for number in range(20):
            factories.badge(f"Number {number}", 50 + number)
        with writing():
            definitions.retire(factories.named("First Step"))
    first, second = admin.get("/office/badges/").text, admin.get("/office/badges/?page=2").text
    assert "Page 1 of 2" in first
    assert "First Step" not in first
    assert "First Step" in second
    assert "· retired" in second


def test_a_new_badge_goes_through_draft_and_confirmation_to_its_backfill(
    app: Flask, admin: FlaskClient, came: None, people: People
) -> None:
    draft = admin.get("/office/badges/new")
    assert draft.status_code == 200
    confirm = admin.post("/office/badges/new", data=fields(draft.text) | TYPED | {"do": "continue"})
    assert confirm.status_code == 200
    assert "13 people get it:" in confirm.text
    assert "Asha Rao, Imran Pasha, Person 00, " in confirm.text
    assert "Person 07 and 3 more." in confirm.text
    assert "Nobody has it yet." in confirm.text
    assert "Awarded for coming back!" in confirm.text
    assert "Asks for 2 camps." in confirm.text
    assert number_of_badges(app) == 9  # nothing is stored yet
    saved = admin.post("/office/badges/new", data=fields(confirm.text) | {"do": "save"})
    assert saved.status_code == 303
    assert saved.location.startswith("/office/jobs/")
    waiting = admin.get(saved.location).text
    assert "Backfill of a badge: Twice Here" in waiting
    assert "0 of 16 people" in waiting
    with app.app_context():
        do_jobs()
        badge = factories.named("Twice Here")
        assert Draft.of(badge) == Draft(**TYPED)
    assert "13 badges awarded." in admin.get(saved.location).text
    page = admin.get(f"/office/badges/{badge.id}").text
    assert "13 people have it." in page
    assert "Award it to them" not in page
    cabinet = admin.get(f"/people/{people.other.id}").text
    assert "Earned Sun 5 April 2026 at Hosur." in cabinet
    again = admin.post("/office/badges/new", data=fields(confirm.text) | {"do": "save"})
    assert again.status_code == 422
    assert "There is a badge “Twice Here” already." in again.text
    assert number_of_badges(app) == 10


def test_back_from_the_confirmation_all_is_as_it_was_typed(admin: FlaskClient) -> None:
    confirm = admin.post("/office/badges/new", data=TYPED | {"do": "continue"})
    draft = admin.post("/office/badges/new", data=fields(confirm.text) | {"do": "back"})
    assert draft.status_code == 200
    assert fields(draft.text).items() >= TYPED.items()


@pytest.mark.parametrize("do", ["continue", "save"])
def test_bad_input_is_said_at_its_field_and_nothing_typed_is_lost(app: Flask, admin: FlaskClient, do: str) -> None:
    wrong = TYPED | {"name": "First Step", "criteria_value": "many", "emblem": "dragon"}
    page = admin.post("/office/badges/new", data=wrong | {"do": do})
    assert page.status_code == 422
    assert "There is a badge “First Step” already." in page.text
    assert "A whole number from 1 to 10,000." in page.text
    assert "Choose a emblem." not in page.text
    assert "Choose another emblem." in page.text
    kept = fields(page.text)
    assert (kept["name"], kept["criteria_value"], kept["description"]) == ("First Step", "many", TYPED["description"])
    assert number_of_badges(app) == 9


def test_nothing_sent_is_a_draft_with_faults(app: Flask, admin: FlaskClient) -> None:
    assert admin.post("/office/badges/new").status_code == 422
    assert number_of_badges(app) == 9


def test_without_a_script_the_preview_is_a_button_and_keeps_what_was_typed(admin: FlaskClient) -> None:
    page = admin.post(
        "/office/badges/new", data={"name": "Half", **{part: TYPED[part] for part in ARTWORK}, "do": "preview"}
    )
    assert page.status_code == 200
    shown = page.text.partition('id="preview"')[2]
    assert shown.count('href="#emblem-sprout"') == 4
    assert shown.count('class="medal metal-silver') == 4
    assert fields(page.text)["name"] == "Half"


def test_with_a_script_the_same_comes_alone(admin: FlaskClient) -> None:
    chosen = {part: TYPED[part] for part in ARTWORK}
    part = admin.get("/office/badges/preview", query_string=chosen, headers=HTMX).text
    page = admin.post("/office/badges/new", data={**chosen, "do": "preview"}).text
    assert part.strip() in page
    assert "<html" not in part
    for size in ("at-32", "at-96", "at-256"):
        assert size in part
    nonsense = admin.get("/office/badges/preview?shape=dragon&emblem=%22%3E%3Cscript%3E")
    assert nonsense.status_code == 200
    assert 'href="#shape-round"' in nonsense.text
    assert "script" not in nonsense.text


def test_every_part_that_is_offered_is_drawn_and_every_part_drawn_is_offered(app: Flask, admin: FlaskClient) -> None:
    parts = app.jinja_env.get_template("components/medal_parts.html").render()
    styles = Path(app.static_folder or "", "app.css").read_text()
    assert set(re.findall(r'id="shape-(\w+)"', parts)) == set(ARTWORK["shape"])
    assert set(re.findall(r'id="emblem-(\w+)"', parts)) == set(ARTWORK["emblem"])
    assert set(re.findall(r'id="face-(\w+)"', parts)) == set(ARTWORK["metal"])
    assert set(re.findall(r"\.ribbon-(\w+) ", styles)) == set(ARTWORK["ribbon"])
    assert set(re.findall(r"\.metal-(\w+) \.emblem", styles)) == set(ARTWORK["metal"])
    assert set(PARTS) <= {value for values in ARTWORK.values() for value in values}
    page = admin.get("/office/badges/new").text
    for part, values in ARTWORK.items():
        assert re.findall(rf'name="{part}" value="(\w+)"', page) == list(values)
    with app.app_context():
        for badge in awards.all_definitions():
            assert Draft.of(badge).drawable == Draft.of(badge)


def test_a_changed_threshold_says_what_it_means_and_the_screens_tell_afterwards(
    app: Flask, admin: FlaskClient, came: None, people: People, badge_id: UUID, as_: As
) -> None:
    at = f"/office/badges/{badge_id}/edit"
    typed = fields(admin.get(at).text) | {"criteria_value": "2"}
    confirm = admin.post(at, data=typed | {"do": "continue"}).text
    assert "It asks for 3 camps now, and will ask for <strong>2 camps</strong>." in confirm
    assert "Its words stay “Awarded for 3 camp visits”" in confirm
    assert "1 person has it already." in confirm
    assert "That award keeps the definition under which it was earned" in confirm
    assert "1 award will rest on an older one." in confirm
    assert "12 people get it:" in confirm
    assert "Asha Rao" not in confirm.partition("people get it")[2].partition("</p>")[0]
    saved = admin.post(at, data=fields(confirm) | {"do": "save"})
    assert saved.location.startswith("/office/jobs/")
    with app.app_context():
        do_jobs()
    page = admin.get(f"/office/badges/{badge_id}").text
    assert "1 award rests on an older definition" in page
    assert "earned when it asked for 3 camps, Sun 12 April 2026 at Hosur" in page
    assert "since Sun 12 April 2026 · 12 awards" in page
    said = "earned when it asked for 3 camps"
    assert said in admin.get(f"/people/{people.volunteer.id}").text
    assert said not in admin.get(f"/people/{people.other.id}").text
    assert said not in as_(people.coordinator).get(f"/people/{people.volunteer.id}").text
    assert said not in as_(people.volunteer).get("/cabinet").text


def test_a_raised_threshold_says_who_keeps_it_all_the_same(admin: FlaskClient, came: None, badge_id: UUID) -> None:
    at = f"/office/badges/{badge_id}/edit"
    confirm = admin.post(at, data=fields(admin.get(at).text) | {"criteria_value": "30", "do": "continue"}).text
    assert "1 award will rest on an older one, 1 of people who have not reached the new one." in confirm
    assert "Nobody gets it now." in confirm
    assert "Nobody has reached it yet." in confirm


def test_other_words_need_no_backfill(app: Flask, admin: FlaskClient, came: None, badge_id: UUID) -> None:
    at = f"/office/badges/{badge_id}/edit"
    confirm = admin.post(at, data=fields(admin.get(at).text) | {"name": "Proven", "do": "continue"}).text
    assert "no award comes or goes" in confirm
    saved = admin.post(at, data=fields(confirm) | {"do": "save"}, follow_redirects=True)
    assert "Proven is saved." in saved.text
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Job)) == 0
        assert factories.named("Proven").version == 1


@pytest.mark.parametrize("do", ["continue", "save"])
def test_who_saves_second_is_told_loses_nothing_and_may_go_on(
    app: Flask, admin: FlaskClient, badge_id: UUID, do: str
) -> None:
    at = f"/office/badges/{badge_id}/edit"
    mine = fields(admin.get(at).text) | {"description": "My own words", "criteria_value": "4"}
    with app.app_context():
        change(factories.named("Certified Volunteer"), name="Theirs", criteria_value=7)
    told = admin.post(at, data=mine | {"do": do})
    assert told.status_code == 409
    assert "Somebody else has changed this badge meanwhile." in told.text
    assert "It is now “Theirs”, 7 camps" in told.text
    kept = fields(told.text)
    assert (kept["name"], kept["description"], kept["criteria_value"]) == ("Certified Volunteer", "My own words", "4")
    with app.app_context():
        assert factories.named("Theirs").criteria_value == 7
    confirm = admin.post(at, data=kept | {"do": "continue"})
    assert confirm.status_code == 200
    assert "It asks for 7 camps now, and will ask for <strong>4 camps</strong>." in confirm.text
    assert admin.post(at, data=fields(confirm.text) | {"do": "save"}).status_code == 303
    with app.app_context():
        assert factories.named("Certified Volunteer").version == 3


def test_who_saves_what_was_retired_meanwhile_is_asked_again(app: Flask, admin: FlaskClient, badge_id: UUID) -> None:
    at = f"/office/badges/{badge_id}"
    confirm = admin.post(f"{at}/edit", data=fields(admin.get(f"{at}/edit").text) | {"criteria_value": "4"})
    admin.post(f"{at}/retire")
    told = admin.post(f"{at}/edit", data=fields(confirm.text) | {"do": "save"})
    assert told.status_code == 409
    assert "Somebody else has changed this badge meanwhile." in told.text
    with app.app_context():
        assert factories.named("Certified Volunteer").version == 1


def test_a_preview_does_not_forget_what_was_read_first(app: Flask, admin: FlaskClient, badge_id: UUID) -> None:
    at = f"/office/badges/{badge_id}/edit"
    mine = fields(admin.get(at).text)
    with app.app_context():
        change(factories.named("Certified Volunteer"), criteria_value=7)
    seen = fields(admin.post(at, data=mine | {"do": "preview"}).text)
    assert admin.post(at, data=seen | {"do": "continue"}).status_code == 409


def test_a_badge_is_retired_and_awarded_again(app: Flask, admin: FlaskClient, came: None, badge_id: UUID) -> None:
    at = f"/office/badges/{badge_id}"
    asked = admin.get(f"{at}/retire").text
    assert "It stays with the 1 person who has it." in asked
    retired = admin.post(f"{at}/retire", follow_redirects=True)
    assert "Certified Volunteer is retired. Who has it keeps it." in retired.text
    assert "is retired already" in admin.post(f"{at}/retire", follow_redirects=True).text
    assert admin.post(f"{at}/backfill").status_code == 409
    with app.app_context():
        factories.change(factories.named("Certified Volunteer"), criteria_value=2)
    asked = admin.get(f"{at}/reinstate").text
    assert "12 people get it:" in asked
    back = admin.post(f"{at}/reinstate")
    assert back.location.startswith("/office/jobs/")
    with app.app_context():
        do_jobs()
    assert "13 people have it." in admin.get(at).text
    assert "is awarded already" in admin.post(f"{at}/reinstate", follow_redirects=True).text


def test_a_retired_badge_can_be_changed_without_a_backfill(app: Flask, admin: FlaskClient, badge_id: UUID) -> None:
    at = f"/office/badges/{badge_id}"
    admin.post(f"{at}/retire")
    confirm = admin.post(f"{at}/edit", data=fields(admin.get(f"{at}/edit").text) | {"criteria_value": "9"}).text
    assert "It is retired, so nobody is awarded it." in confirm
    saved = admin.post(f"{at}/edit", data=fields(confirm) | {"do": "save"})
    assert saved.location == at


def test_whoever_is_still_due_can_be_awarded_again(app: Flask, admin: FlaskClient, came: None, people: People) -> None:
    with app.app_context():
        badge = factories.badge()
    at = f"/office/badges/{badge.id}"
    assert "13 people have reached it and do not have it." in admin.get(at).text
    first, second = admin.post(f"{at}/backfill"), admin.post(f"{at}/backfill")
    assert first.location == second.location  # one job is enough
    waiting = admin.get(at).text
    assert "Waiting for the worker" in waiting
    assert "Award it to them" not in waiting
    admin.post(f"{first.location}/cancel")
    with app.app_context():
        do_jobs()
    stopped, left = admin.get(f"{first.location}/progress").text, admin.get(at).text
    assert "0 of 16 people" in stopped
    assert "The others get Two Camps when they next come, or when you run the backfill again." in stopped
    assert f'action="{at}/backfill"' in stopped
    cabinet = admin.get(f"/people/{people.other.id}").text
    assert "Next: Two Camps" in cabinet
    assert "Reached; it is awarded with the next mark." in cabinet
    assert " 0 more camps" not in cabinet.replace(">", " ")
    assert "The last backfill was cancelled, so they get it when they next come, or now." in left
    with clock.stopped_at(SUNDAY + timedelta(minutes=1)):
        third = admin.post(f"{at}/backfill")
    assert third.location != first.location
    with app.app_context():
        do_jobs()
    assert "13 people have it." in admin.get(at).text
    for over in (first, third):
        assert "backfill again" not in admin.get(over.location).text


def test_what_is_not_there_is_not_found(admin: FlaskClient) -> None:
    for path in ("", "/edit", "/retire", "/reinstate"):
        assert admin.get(f"/office/badges/{UUID(int=5)}{path}").status_code == 404
    assert admin.post(f"/office/badges/{UUID(int=5)}/backfill").status_code == 404


def test_older_awards_are_paged(app: Flask, admin: FlaskClient, people: People) -> None:
    with app.app_context():
        camp = factories.camp(0)
        for number in range(30):
            attend(factories.person(f"Person {number:02}"), [camp], people.coordinator)
        badge = factories.named("First Step")
        change(badge, criteria_value=2)
    page = admin.get(f"/office/badges/{badge.id}").text
    assert "30 awards rest on an older definition" in page
    assert "Page 1 of 2" in page
    assert "Person 29" in admin.get(f"/office/badges/{badge.id}?page=2").text


# --- more badges, or fewer, than the nine --------------------------------------------------------


@pytest.fixture
def sixty(app: Flask, people: People) -> Camp:
    """Sixty badges, each with a name of sixty letters, all for the first camp; the volunteer came to it."""
    with app.app_context():
        for number in range(60):
            name = f"{number:02}" + "W" * 58
            factories.badge(name, 1, parts={"emblem": ARTWORK["emblem"][number % 12]})
        camp = factories.camp(0)
        attend(people.volunteer, [camp], people.coordinator)
    return camp


def test_sixty_badges_are_shown_everywhere(
    app: Flask, as_: As, admin: FlaskClient, people: People, sixty: Camp, token: Token
) -> None:
    assert as_(people.volunteer).get("/cabinet").text.count('<li id="award-') == 61
    board = admin.get("/leaderboard/").text
    line = board.partition(f'id="line-{people.volunteer.id}"')[2].partition("</tr>")[0]
    assert (line.count("<svg"), line.count("W" * 58)) == (12, 60)
    assert "+49" in line
    row = as_(people.coordinator).get(f"/roll-call/{sixty.id}").text
    assert "Undo takes back First Step, 00W" in row
    api = app.test_client().get("/api/v1/users/me/badge-progress", headers=token(people.volunteer)).get_json()
    assert len(api["progress"]) == 69
    assert api["next_badge"]["badge"] == "Certified Volunteer"
    held = app.test_client().get("/api/v1/users/me/badges", headers=token(people.volunteer)).get_json()
    assert held["count"] == 61


def test_without_any_badge_nothing_is_to_come(app: Flask, as_: As, people: People, token: Token) -> None:
    with app.app_context():
        camp = factories.camp(0)
        attend(people.other, [camp], people.coordinator)
        with writing():
            for badge in awards.all_definitions():
                definitions.retire(badge)
        attend(people.volunteer, [camp], people.coordinator)
    page = as_(people.volunteer).get("/cabinet").text
    assert "No badges at present" in page
    assert "Every badge is earned" not in page
    assert "First Step" in as_(people.other).get("/cabinet").text  # it stays
    api = app.test_client().get("/api/v1/users/me/badge-progress", headers=token(people.volunteer)).get_json()
    assert api == {"progress": [], "next_badge": None}
    assert as_(people.admin).get("/leaderboard/").status_code == 200


def test_the_demo_fills_with_more_badges_and_with_fewer(app: Flask) -> None:
    with app.app_context():
        badge = factories.badge("Twice Here", 2)
        with writing():
            definitions.retire(factories.named("First Step"))
    done = app.test_cli_runner().invoke(args=["seed"])
    assert done.exit_code == 0, done.output
    with app.app_context():
        holders = definitions.holders([badge.id, factories.named("First Step").id])
        assert holders[badge.id] > 10
        assert list(holders) == [badge.id]
    assert app.test_cli_runner().invoke(args=["verify"]).exit_code == 0
    again = app.test_cli_runner().invoke(args=["seed", "--clear"])
    assert again.exit_code == 0, again.output
    assert app.test_cli_runner().invoke(args=["verify"]).exit_code == 0


def test_each_kind_of_badge_can_be_chosen(as_: Callable[[Person], FlaskClient], people: People) -> None:
    form = as_(people.admin).get("/office/badges/new").text
    for criterion in CRITERIA.values():
        assert f'value="{criterion.key}"' in form
        assert criterion.choice in form
