"""The roll call where it is called: no network, two doors, lent phones, somebody nobody knows."""

import re
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from playwright.sync_api import Browser, Locator, Page, Route, expect
from sqlalchemy import select

from tests import factories
from tests.browser.conftest import sign_in
from tests.browser.looks import has_no_faults
from tests.browser.network import network
from tests.conftest import SUNDAY, People
from tests.factories import attend, row_of, weekly
from tests.serving import seconds
from webapp import clock
from webapp.database import db, writing
from webapp.domain.attendance import marking
from webapp.domain.attendance.sync import Operation
from webapp.domain.camps.calendar import Camp
from webapp.domain.models.attendance import State
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Person, Role
from webapp.views import installed

OpenAs = Callable[..., Page]


@pytest.fixture
def today(app: Flask, people: People) -> Camp:
    """Today's camp; the volunteer has come twice before. Two have signed up, others have not."""
    with app.app_context():
        camps = weekly(3, "Hosur")
        attend(people.volunteer, camps[:2], people.coordinator)
        with writing():
            marking.sign_up(people.volunteer, camps[2])
            marking.sign_up(people.other, camps[2])
        factories.person("Śrīnivāsa Rao")
    return camps[2]


def row(page: Page, name: str) -> Locator:
    return page.locator(f"#rows li.person:has(.name:text-is('{name}'))")


def ready(page: Page) -> Page:
    """The roll call is open and kept, so that the network may go."""
    expect(page.locator("#roll-call[data-ready][data-kept]")).to_be_attached()
    return page


def link(page: Page) -> Locator:
    return page.locator("#link")


def more(page: Page, name: str, press: str) -> None:
    row(page, name).get_by_role("link", name=f"More for {name}").click()
    page.locator("#sheet").get_by_role("button", name=press, exact=True).click()


def state(app: Flask, camp: Camp, name: str) -> State | None:
    with app.app_context():
        person = db.session.scalars(select(Person).where(Person.name == name)).one()
        return row_of(camp, person).state


def test_typing_filters_without_asking_the_server(open_as: OpenAs, people: People, today: Camp) -> None:
    page = ready(open_as(people.coordinator))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    search = page.get_by_role("searchbox")
    for typed, found in (
        ("as", ["Asha Rao", "Imran Pasha", "Śrīnivāsa Rao"]),
        ("ŚRĪ", ["Śrīnivāsa Rao"]),
        ("rao sri", ["Śrīnivāsa Rao"]),
        (str(people.other.book_no), ["Imran Pasha"]),
        ("zzz", []),
    ):
        search.fill(typed)
        expect(page.locator("#rows li.person:visible .name")).to_have_text(found)
    expect(page.locator("#nobody")).to_contain_text("Nobody matches “zzz”")
    expect(page.get_by_label("Name", exact=True)).to_have_value("zzz")
    search.fill("")
    expect(page.locator("#rows li.person:visible")).to_have_count(2)
    assert asked == []
    expect(page.locator("#count")).to_have_text("0 of 2 present")


def test_everything_at_the_table_without_a_network(app: Flask, open_as: OpenAs, people: People, today: Camp) -> None:
    page = ready(open_as(people.coordinator))
    page.context.set_offline(True)
    # One tap; its camp role; its leaving time.
    page.get_by_role("button", name="Mark Asha Rao present").click()
    expect(row(page, "Asha Rao")).to_contain_text("Waiting")
    expect(link(page)).to_contain_text("No connection")
    more(page, "Asha Rao", "Coordinator")
    expect(row(page, "Asha Rao")).to_contain_text("coordinator")
    row(page, "Asha Rao").get_by_role("link", name="More for").click()
    page.get_by_label("Leaving time").fill("11:10")
    page.locator("#sheet").get_by_role("button", name="Set").click()
    expect(row(page, "Asha Rao")).to_contain_text("left 11:10")
    # Excused, with a reason.
    row(page, "Imran Pasha").get_by_role("link", name="More for").click()
    page.get_by_label("Reason").fill("at a wedding")
    page.locator("#sheet").get_by_role("button", name="Excused").click()
    expect(row(page, "Imran Pasha")).to_contain_text("“at a wedding”")
    # Somebody known who did not sign up.
    page.get_by_role("searchbox").fill("srini")
    page.get_by_role("button", name="Add Śrīnivāsa Rao present").click()
    # Somebody new.
    page.get_by_role("searchbox").fill("Zoya Khan")
    page.get_by_role("button", name="Add, present").click()
    expect(row(page, "Zoya Khan")).to_contain_text("book number follows")
    expect(page.locator("#count")).to_have_text("3 of 4 present")
    # The browser is closed and opened again: another page of the same profile, still without a network.
    page.reload()
    ready(page)
    expect(page.locator("#count")).to_have_text("3 of 4 present")
    expect(page.locator(".sync.waiting")).to_have_count(4)
    # A changed mind.
    row(page, "Śrīnivāsa Rao").get_by_role("button", name="Undo").click()
    expect(page.locator("#count")).to_have_text("2 of 3 present")
    page.context.set_offline(False)
    expect(link(page)).to_have_text("All sent", timeout=20_000)
    expect(row(page, "Zoya Khan")).to_contain_text("First Step")
    expect(row(page, "Zoya Khan")).to_contain_text("Sent")
    with app.app_context():
        found = row_of(today, people.volunteer).attendance
        assert found is not None
        assert found.left_at is not None
        assert (str(found.camp_role), f"{found.left_at:%H:%M}") == ("coordinator", "05:40")
        excused = row_of(today, people.other).attendance
        assert excused is not None
        assert (excused.state, excused.reason) == (State.EXCUSED, "at a wedding")
        # What was taken back before it was sent has never been heard of.
        srinivasa = db.session.scalars(select(Person.id).where(Person.name == "Śrīnivāsa Rao")).one()
        orders = [each.order for each in db.session.scalars(select(Operation))]
        assert [order for order in orders if order["person"] == str(srinivasa)] == []
    assert state(app, today, "Śrīnivāsa Rao") is None
    assert state(app, today, "Zoya Khan") is State.PRESENT


def test_the_button_sends_at_once(open_as: OpenAs, people: People, today: Camp) -> None:
    page = ready(open_as(people.coordinator))
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        route.abort()

    page.context.route(re.compile("/roll-call/(sync|session)"), refuse)
    page.get_by_role("button", name="Mark Asha Rao present").click()
    until = time.monotonic() + 20
    while len(asked) < 4:  # it tries again by itself after 1, 2, 4 seconds, and so on
        page.evaluate("1")
        assert time.monotonic() < until
    page.context.unroute_all()
    soon = min(seconds(3), 6) * 1000  # before it would try again by itself
    page.get_by_role("button", name="Send now").click()
    expect(link(page)).to_have_text("All sent", timeout=soon)


def test_undo_names_the_badges_it_takes_before_they_go(open_as: OpenAs, people: People, today: Camp) -> None:
    page = ready(open_as(people.coordinator))
    page.get_by_role("button", name="Mark Asha Rao present").click()
    mine = row(page, "Asha Rao")
    expect(mine.locator(".settled")).to_contain_text("On a Roll")
    expect(mine).to_contain_text("Undo takes back Certified Volunteer, On a Roll")
    mine.get_by_role("button", name="Undo").click()
    expect(mine).to_contain_text("On a Roll taken back")
    expect(mine.get_by_role("button", name="Mark Asha Rao present")).to_be_visible()


def test_everyone_close_and_open_again_ask_once_and_say_what_they_did(
    app: Flask, open_as: OpenAs, people: People, today: Camp
) -> None:
    page = ready(open_as(people.coordinator))
    more(page, "Imran Pasha", "Absent")
    page.get_by_role("button", name="Everyone who signed up is here").click()
    expect(page.locator("#ask-everyone")).to_contain_text("1 still expected")
    page.get_by_role("button", name="Not now").click()
    assert state(app, today, "Asha Rao") is State.EXPECTED
    page.get_by_role("button", name="Everyone who signed up is here").click()
    page.get_by_role("button", name="Mark them all present").click()
    expect(page.locator("#said")).to_contain_text("Asha Rao is present. New: Certified Volunteer, On a Roll.")
    expect(row(page, "Asha Rao")).to_contain_text("On a Roll")
    with app.app_context(), writing():
        marking.sign_up(people.admin, today)
    expect(row(page, "Meera Krishnan")).to_contain_text("Mark present")  # it arrived by itself
    page.get_by_role("button", name="Close the roll call").click()
    page.locator("#ask-close").get_by_role("button", name="Close the roll call").click()
    expect(page.locator("#closed")).to_contain_text("Closed by Ravi Gowda")
    expect(row(page, "Meera Krishnan")).to_contain_text("Absent")
    page.get_by_role("button", name="Open it again").click()
    page.locator("#ask-reopen").get_by_role("button", name="Open it again").click()
    expect(page.locator("#closed")).to_be_hidden()
    expect(row(page, "Meera Krishnan")).to_contain_text("Mark present")
    assert state(app, today, "Imran Pasha") is State.ABSENT


def test_two_doors_see_each_other_while_one_types(app: Flask, open_as: OpenAs, people: People, today: Camp) -> None:
    one, other = ready(open_as(people.coordinator)), open_as(people.admin)
    other.goto(f"/roll-call/{today.id}")
    ready(other)
    other.get_by_role("searchbox").press_sequentially("imr")
    two_seconds = seconds(2) * 1000
    one.get_by_role("button", name="Mark Imran Pasha present").click()
    expect(row(other, "Imran Pasha")).to_contain_text("Present", timeout=two_seconds)
    other.get_by_role("searchbox").press_sequentially("an")
    expect(other.get_by_role("searchbox")).to_have_value("imran")
    expect(other.get_by_role("searchbox")).to_be_focused()
    expect(other.locator("#count")).to_have_text("1 of 2 present")
    # Somebody who walks in at one door, and is taken back, appears and goes at the other.
    one.get_by_role("searchbox").fill("srini")
    one.get_by_role("button", name="Add Śrīnivāsa Rao present").click()
    other.get_by_role("searchbox").fill("")
    expect(row(other, "Śrīnivāsa Rao")).to_contain_text("Present")
    row(one, "Śrīnivāsa Rao").get_by_role("button", name="Undo").click()
    expect(other.locator("#count")).to_have_text("1 of 2 present")


@pytest.mark.parametrize("answer", ["theirs", "mine"])
def test_what_the_other_door_decided_differently_is_shown_and_asked(
    app: Flask, open_as: OpenAs, people: People, today: Camp, answer: str
) -> None:
    page = ready(open_as(people.coordinator))
    page.context.set_offline(True)
    page.get_by_role("button", name="Mark Imran Pasha present").click()
    with app.app_context(), writing():
        marking.excuse(people.other, today, by=people.admin)
    page.context.set_offline(False)
    mine = row(page, "Imran Pasha")
    expect(mine).to_contain_text(
        re.compile(r"Meera Krishnan marked excused at \d\d:\d\d\. Here: present at"), timeout=20_000
    )
    expect(mine).to_have_attribute("data-state", "excused")
    expect(link(page)).to_contain_text("1 to answer")
    page.reload()  # the question waits
    ready(page)
    mine.locator(f"[data-answer={answer}]").click()
    expect(mine.locator("[data-answer]")).to_have_count(0)
    expect(link(page)).to_have_text("All sent")
    expect(mine).to_have_attribute("data-state", "excused" if answer == "theirs" else "present")
    assert state(app, today, "Imran Pasha") is (State.EXCUSED if answer == "theirs" else State.PRESENT)


def test_what_the_server_refuses_is_said_on_the_row(app: Flask, open_as: OpenAs, people: People, today: Camp) -> None:
    page = ready(open_as(people.coordinator))
    page.context.set_offline(True)
    page.get_by_role("button", name="Mark Imran Pasha present").click()
    with app.app_context(), writing():
        accounts.deactivate(db.session.merge(people.other))
    page.context.set_offline(False)
    mine = row(page, "Imran Pasha")
    expect(mine).to_contain_text("Not saved (present): Imran Pasha's account is switched off.", timeout=20_000)
    mine.get_by_role("button", name="OK").click()
    expect(mine.locator(".asked")).to_have_count(0)
    expect(page.locator("#count")).to_have_text("0 of 2 present")


def test_a_session_that_ended_keeps_the_outbox_asks_to_sign_in_and_goes_on(
    app: Flask, open_as: OpenAs, people: People, today: Camp
) -> None:
    page = ready(open_as(people.coordinator))
    page.context.set_offline(True)
    page.get_by_role("button", name="Mark Asha Rao present").click()
    with app.app_context(), writing():
        accounts.end_sessions(db.session.merge(people.coordinator))
    page.context.set_offline(False)
    page.get_by_role("link", name="Sign in to send (1 waiting)").click(timeout=20_000)
    assert state(app, today, "Asha Rao") is State.EXPECTED
    sign_in(page, people.coordinator)
    expect(page).to_have_url(re.compile(f"/roll-call/{today.id}$"))
    expect(link(page)).to_have_text("All sent")
    assert state(app, today, "Asha Rao") is State.PRESENT


def test_another_person_on_the_same_phone_does_not_send_the_firsts_marks(
    app: Flask, open_as: OpenAs, people: People, today: Camp
) -> None:
    with app.app_context():
        factories.with_password(people.admin)
    page = ready(open_as(people.coordinator))
    page.context.set_offline(True)
    page.get_by_role("button", name="Mark Asha Rao present").click()
    expect(link(page)).to_contain_text("1 waiting")
    page.context.clear_cookies()  # the session ends, and the next person signs in with another page
    page.context.set_offline(False)
    second = page.context.new_page()
    second.goto("/sign-in")
    sign_in(second, people.admin)
    second.goto(f"/roll-call/{today.id}")
    ready(second)
    expect(second.locator("#count")).to_have_text("0 of 2 present")
    expect(link(second)).to_have_text("All sent")
    # The first page, still open, notices whose session this is now.
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(link(page)).to_contain_text("Somebody else is signed in")
    assert state(app, today, "Asha Rao") is State.EXPECTED
    # When the first person is back, their mark goes, as theirs.
    second.get_by_role("button", name="Sign out").click()
    sign_in(second, people.coordinator)
    second.goto(f"/roll-call/{today.id}")
    expect(row(second, "Asha Rao")).to_contain_text("Present")
    expect(link(second)).to_have_text("All sent")
    with app.app_context():
        found = row_of(today, people.volunteer).attendance
        assert found is not None
        assert found.marked_by_id == people.coordinator.id


def test_signing_out_over_unsent_marks_asks_first(app: Flask, open_as: OpenAs, people: People, today: Camp) -> None:
    page = ready(open_as(people.coordinator))
    page.context.set_offline(True)
    page.get_by_role("button", name="Mark Asha Rao present").click()
    expect(link(page)).to_contain_text("1 waiting")
    asked: list[str] = []

    def refuse(dialog: object) -> None:
        asked.append(dialog.message)  # type: ignore[attr-defined]
        dialog.dismiss()  # type: ignore[attr-defined]

    page.on("dialog", refuse)
    page.get_by_role("button", name="Sign out").click()
    assert len(asked) == 1
    assert asked[0].startswith("1 mark is not sent yet.")
    expect(row(page, "Asha Rao")).to_contain_text("Waiting")
    page.context.set_offline(False)
    expect(link(page)).to_have_text("All sent", timeout=20_000)
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")
    assert len(asked) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_state_of_the_table_can_be_read(
    app: Flask, open_as: OpenAs, people: People, today: Camp, scheme: str
) -> None:
    """No accessibility fault that axe knows of: waiting, asked, refused, the sheet, the questions, the scanner."""
    page = ready(open_as(people.coordinator, color_scheme=scheme))
    page.context.set_offline(True)
    page.get_by_role("button", name="Mark Asha Rao present").click()
    page.get_by_role("button", name="Mark Imran Pasha present").click()
    expect(page.locator(".sync.waiting")).to_have_count(2)
    has_no_faults(page, "waiting")
    with app.app_context(), writing():
        marking.excuse(people.volunteer, today, by=people.admin)
        accounts.deactivate(db.session.merge(people.other))
    page.context.set_offline(False)
    expect(page.locator(".asked")).to_have_count(2, timeout=20_000)
    row(page, "Asha Rao").get_by_role("link", name="More for").click()
    expect(page.locator("#sheet")).to_be_visible()
    has_no_faults(page, "the sheet")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Close the roll call").first.click()
    expect(page.locator("#ask-close")).to_be_visible()
    has_no_faults(page, "the question")


def test_what_needs_the_network_says_so_and_leads_to_the_roll_call(
    open_as: OpenAs, people: People, today: Camp
) -> None:
    page = ready(open_as(people.coordinator))
    page.context.set_offline(True)
    page.goto("/people/")
    expect(page.get_by_role("heading", name="No connection")).to_be_visible()
    page.get_by_role("link", name="Roll call: Hosur").click()
    expect(page.locator("#roll-call[data-ready]")).to_be_attached()
    page.goto("/")  # where an installed app begins
    expect(page).to_have_url(re.compile(f"/roll-call/{today.id}$"))
    expect(page.locator("#roll-call[data-ready]")).to_be_attached()


def test_after_signing_out_no_list_is_left_on_the_phone(open_as: OpenAs, people: People, today: Camp) -> None:
    page = ready(open_as(people.coordinator))
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")
    page.context.set_offline(True)
    page.goto(f"/roll-call/{today.id}")
    expect(page.get_by_role("heading", name="No connection")).to_be_visible()
    expect(page.get_by_text("There is none on this phone.")).to_be_visible()


def test_a_volunteer_without_a_network_is_told_so(open_as: OpenAs, people: People, today: Camp) -> None:
    page = open_as(people.volunteer)
    page.evaluate("navigator.serviceWorker.ready.then(() => 1)")
    page.context.set_offline(True)
    page.goto("/cabinet")
    expect(page.get_by_role("heading", name="No connection")).to_be_visible()


def test_a_new_version_replaces_the_old_one_and_keeps_the_outbox(
    app: Flask, open_as: OpenAs, people: People, today: Camp, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = ready(open_as(people.coordinator))
    page.reload()  # now the service worker has it
    ready(page)
    page.context.route("**/roll-call/sync", lambda route: route.abort())
    page.context.route("**/roll-call/session", lambda route: route.abort())
    page.get_by_role("button", name="Mark Asha Rao present").click()
    expect(link(page)).to_contain_text("1 waiting")
    monkeypatch.setattr(installed, "ROLL_CALL_FILES", (*installed.ROLL_CALL_FILES, "print.js"))
    page.evaluate("navigator.serviceWorker.ready.then((each) => each.update()).then(() => 1)")
    expect(page.locator("#problem")).to_contain_text("A newer version of this page is ready.")
    page.get_by_role("button", name="Reload").click()
    ready(page)
    expect(row(page, "Asha Rao")).to_contain_text("Waiting")
    page.context.unroute_all()
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(link(page)).to_have_text("All sent", timeout=20_000)
    assert state(app, today, "Asha Rao") is State.PRESENT
    page.context.set_offline(True)  # the kept page goes with the new files
    page.reload()
    ready(page)
    expect(row(page, "Asha Rao")).to_contain_text("Present")


def test_odd_orders_of_taps_without_a_network_arrive_as_they_ended(
    app: Flask, open_as: OpenAs, people: People, today: Camp
) -> None:
    with app.app_context(), writing():
        marking.sign_up(people.admin, today)
        marking.mark_present(people.volunteer, today, by=people.admin)
    page = ready(open_as(people.coordinator))
    page.context.set_offline(True)
    more(page, "Meera Krishnan", "Absent")  # the first may be on its way already, and stays as it is
    expect(link(page)).to_contain_text("1 waiting")
    row(page, "Imran Pasha").get_by_role("link", name="More for").click()
    page.get_by_label("Reason").fill("mother ill")
    page.keyboard.press("Enter")  # marks nobody anything
    page.keyboard.press("Escape")
    expect(row(page, "Imran Pasha")).to_have_attribute("data-state", "expected")
    asha = row(page, "Asha Rao")
    asha.get_by_role("button", name="Undo").click()
    expect(asha).to_have_attribute("data-state", "expected")
    page.get_by_role("button", name="Everyone who signed up is here").click()
    page.get_by_role("button", name="Mark them all present").click()
    expect(asha).to_have_attribute("data-state", "present")
    asha.get_by_role("button", name="Undo").click()
    expect(asha).to_have_attribute("data-state", "expected")
    imran = row(page, "Imran Pasha")
    imran.get_by_role("button", name="Undo").click()  # whom the other door marks meanwhile
    expect(imran).to_have_attribute("data-state", "expected")
    with app.app_context(), writing():
        marking.mark_present(people.other, today, by=people.admin)
    page.context.set_offline(False)
    expect(imran.locator("[data-answer]")).to_have_count(2, timeout=20_000)
    expect(page.locator("#summary")).to_contain_text("marked present")
    assert state(app, today, "Imran Pasha") is State.PRESENT
    assert state(app, today, "Asha Rao") is State.EXPECTED


def test_a_walk_in_that_was_refused_stays_in_sight(app: Flask, open_as: OpenAs, people: People, today: Camp) -> None:
    page = ready(open_as(people.coordinator))
    page.context.set_offline(True)
    page.get_by_role("searchbox").fill("meera")
    page.get_by_role("button", name="Add Meera Krishnan present").click()
    with app.app_context():
        factories.person("Another admin", role=Role.ADMIN)  # one has to be left
        with writing():
            accounts.deactivate(db.session.merge(people.admin))
    page.context.set_offline(False)
    mine = row(page, "Meera Krishnan")
    expect(mine).to_contain_text("Not saved (present)", timeout=20_000)
    page.get_by_role("searchbox").fill("")
    expect(mine).to_be_visible()
    page.reload()
    ready(page)
    expect(mine).to_contain_text("Not saved (present)")


def test_somebody_new_who_is_taken_back_leaves_the_list(open_as: OpenAs, people: People, today: Camp) -> None:
    page = ready(open_as(people.coordinator))
    page.context.set_offline(True)
    page.get_by_role("button", name="Mark Imran Pasha present").click()
    expect(link(page)).to_contain_text("1 waiting")
    page.get_by_label("Name", exact=True).fill("Zoya Khan")
    page.get_by_role("button", name="Add, present").click()
    expect(page.locator("#said")).to_have_text("Zoya Khan: Present.")
    row(page, "Zoya Khan").get_by_role("button", name="Undo").click()
    expect(row(page, "Zoya Khan")).to_have_count(0)
    expect(page.locator("#count")).to_have_text("1 of 2 present")


def test_a_name_that_is_refused_comes_back_to_be_mended(open_as: OpenAs, people: People, today: Camp) -> None:
    page = ready(open_as(people.coordinator))
    page.get_by_label("Name", exact=True).fill("Zed\u200e Khan")  # a mark of direction, which nobody sees
    page.get_by_role("button", name="Add, present").click()
    refused = page.locator("#rows li.person:has(.asked)")
    expect(refused).to_contain_text("Not saved (added)")
    expect(refused.locator(".primary")).to_have_count(0)
    refused.get_by_role("button", name="OK").click()
    expect(refused).to_have_count(0)
    expect(page.locator("#rows li.person")).to_have_count(2)
    expect(page.get_by_label("Name", exact=True)).to_have_value("Zed\u200e Khan")


def test_a_phone_that_cannot_store_says_so_and_keeps_what_was_typed(
    open_as: OpenAs, people: People, today: Camp
) -> None:
    page = open_as(people.coordinator)
    ready(page)
    full = "throw new DOMException('Failed to fetch: the disk is full')"
    page.evaluate(f"() => {{ IDBObjectStore.prototype.put = () => {{ {full}; }}; }}")
    page.get_by_label("Name", exact=True).fill("Zoya Khan")
    page.get_by_role("button", name="Add, present").click()
    expect(page.locator("#problem")).to_contain_text("This phone could not save the mark.")
    expect(page.get_by_label("Name", exact=True)).to_have_value("Zoya Khan")


def test_the_sheet_is_used_by_keyboard(open_as: OpenAs, people: People, today: Camp) -> None:
    page = ready(open_as(people.coordinator))
    row(page, "Asha Rao").get_by_role("link", name="More for").press("Enter")
    sheet = page.get_by_role("dialog", name="Asha Rao")
    expect(sheet).to_be_focused()
    page.keyboard.press("Tab")
    expect(sheet.get_by_role("button", name="Volunteer")).to_be_focused()
    page.keyboard.press("Enter")
    expect(sheet).to_be_hidden()
    expect(row(page, "Asha Rao")).to_have_attribute("data-state", "present")
    expect(row(page, "Imran Pasha")).to_have_attribute("data-state", "expected")
    expect(row(page, "Asha Rao")).to_contain_text("Sent")
    row(page, "Asha Rao").get_by_role("link", name="More for").press("Enter")
    page.get_by_label("Leaving time").fill("11:10")
    page.get_by_label("Leaving time").press("Enter")  # says nothing, and leaves the sheet as it is
    expect(sheet).to_be_visible()
    sheet.get_by_role("button", name="Set").click()
    expect(row(page, "Asha Rao")).to_contain_text("left 11:10")


def test_a_page_opened_with_a_search_fetches_the_rest_of_the_list(open_as: OpenAs, people: People, today: Camp) -> None:
    page = ready(open_as(people.coordinator))
    page.goto(f"/roll-call/{today.id}?q=zzz")
    ready(page)
    page.get_by_role("searchbox").fill("")
    expect(page.locator("#rows li.person:visible")).to_have_count(2)
    expect(page.locator("#count")).to_have_text("0 of 2 present")


def test_what_is_to_be_answered_is_shown_when_asked_for(
    app: Flask, open_as: OpenAs, people: People, today: Camp
) -> None:
    page = ready(open_as(people.coordinator))
    page.context.set_offline(True)
    page.get_by_role("button", name="Mark Imran Pasha present").click()
    with app.app_context(), writing():
        marking.excuse(people.other, today, by=people.admin)
    page.context.set_offline(False)
    page.get_by_role("button", name="1 to answer").click(timeout=20_000)
    expect(row(page, "Imran Pasha")).to_be_focused()
    expect(row(page, "Imran Pasha").locator("[data-answer=mine]")).to_be_in_viewport()


def test_old_news_that_comes_late_changes_nothing(open_as: OpenAs, people: People, today: Camp) -> None:
    page = ready(open_as(people.coordinator))
    old = row(page, "Imran Pasha").evaluate("each => each.outerHTML")
    at = int(page.locator("#rows").get_attribute("data-at") or 0)
    page.get_by_role("button", name="Mark Imran Pasha present").click()
    expect(row(page, "Imran Pasha")).to_contain_text("Sent")
    swap = "text => htmx.swap({text, sourceElement: document.getElementById('outbox'), swap: 'none'})"
    page.evaluate(swap, f'<hx-partial hx-target="#rows" hx-swap="rows at:{at}">{old}</hx-partial>')
    expect(row(page, "Imran Pasha")).to_have_attribute("data-state", "present")
    page.reload()
    ready(page)
    expect(row(page, "Imran Pasha")).to_have_attribute("data-state", "present")


def test_two_phones_of_one_account_see_each_other(
    open_as: OpenAs, browser: Browser, url: str, people: People, today: Camp
) -> None:
    one = ready(open_as(people.coordinator))
    context = browser.new_context(base_url=url, storage_state=one.context.storage_state())
    other = context.new_page()
    other.goto(f"/roll-call/{today.id}")
    ready(other)
    two_seconds = seconds(2) * 1000
    one.get_by_role("button", name="Mark Imran Pasha present").click()
    expect(row(other, "Imran Pasha")).to_contain_text("Present", timeout=two_seconds)
    row(other, "Imran Pasha").get_by_role("button", name="Undo").click()
    expect(one.locator("#count")).to_have_text("0 of 2 present", timeout=two_seconds)
    context.close()


def test_a_session_that_ended_is_told_though_nothing_waits(
    app: Flask, open_as: OpenAs, people: People, today: Camp
) -> None:
    page = ready(open_as(people.coordinator))
    with app.app_context(), writing():
        accounts.end_sessions(db.session.merge(people.coordinator))
        marking.mark_absent(people.other, today, by=people.admin)  # the stream wakes, and ends
    expect(page.get_by_role("link", name="Sign in again")).to_be_visible(timeout=20_000)
    expect(row(page, "Imran Pasha")).to_have_attribute("data-state", "expected")


def test_what_goes_over_the_wire(
    app: Flask, open_as: OpenAs, browser: Browser, url: str, people: People, today: Camp
) -> None:
    """The first load with 300 people, everything counted: under 78 KB. One mark, answer and news of it: 1.8 KB."""
    with app.app_context(), clock.stopped_at(SUNDAY - timedelta(days=3)), writing():
        for number in range(300):
            marking.sign_up(factories.unsaved(f"Volunteer Number {number * 7919 % 1000}"), today)
    with network(int(url.rpartition(":")[2])) as net:
        signed_in = ready(open_as(people.coordinator, base_url=net.url))
        context = browser.new_context(base_url=net.url, storage_state=signed_in.context.storage_state())
        signed_in.context.close()
        net.go_down()  # its open stream goes with it
        net.come_back()
        before = net.bytes_down
        page = context.new_page()
        page.goto(f"/roll-call/{today.id}")
        ready(page)
        assert net.bytes_down - before <= 78_000, net.bytes_down - before
        before, events = net.bytes_down, net.live_bytes
        page.get_by_role("button", name="Mark Asha Rao present").click()
        expect(row(page, "Asha Rao")).to_contain_text("On a Roll")
        until = time.monotonic() + 10
        while net.live_bytes == events:  # the phone hears of its own mark too
            page.evaluate("1")
            assert time.monotonic() < until
        assert net.bytes_down - before <= 1800, net.bytes_down - before
        context.close()
