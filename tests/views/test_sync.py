"""Where outboxes arrive: once each, in order, what others decided asked about, what is bad named."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from tests import factories
from tests.conftest import SUNDAY, People
from tests.factories import badge_names, row_of
from tests.views.conftest import HTMX, Camps
from webapp import clock
from webapp.database import db, writing
from webapp.domain.attendance import marking, roll_call
from webapp.domain.attendance.sync import Operation
from webapp.domain.camps.calendar import Camp
from webapp.domain.models.attendance import CampRole, State
from webapp.domain.people import accounts, cards
from webapp.domain.people.accounts import Person
from webapp.domain.schedule import schedule

As = Callable[[Person], FlaskClient]
JSON = {"Accept": "application/json"}


def operation(camp: Camp, action: str = "mark", **fields: Any) -> dict[str, Any]:
    made_at = clock.now().isoformat()
    return {"id": str(uuid4()), "camp": str(camp.id), "action": action, "made_at": made_at} | {
        name: str(value) if isinstance(value, UUID) else value for name, value in fields.items()
    }


def mark(camp: Camp, person: Person, state: str = "present", **fields: Any) -> dict[str, Any]:
    return operation(camp, person=person.id, state=state, **fields)


class Phone:
    """A coordinator's phone that sends."""

    def __init__(self, client: FlaskClient, owner: Person) -> None:
        self.client, self.owner = client, owner

    def post(self, *operations: object, **body: object) -> TestResponse:
        sent = {"owner": str(self.owner.id), "sent_at": clock.now().isoformat(), "operations": list(operations)} | body
        return self.client.post("/roll-call/sync", json=sent, headers=JSON)

    def send(self, *operations: object, **body: object) -> list[dict[str, Any]]:
        response = self.post(*operations, **body)
        assert response.status_code == 200, response.text
        results: list[dict[str, Any]] = response.get_json()["results"]
        return results

    def outcomes(self, *operations: object) -> list[str]:
        return [result["outcome"] for result in self.send(*operations)]


@pytest.fixture
def phone(as_: As, people: People) -> Phone:
    return Phone(as_(people.coordinator), people.coordinator)


@pytest.fixture
def other_phone(as_: As, people: People) -> Phone:
    return Phone(as_(people.admin), people.admin)


def state(app: Flask, camp: Camp, person: Person) -> State | None:
    with app.app_context():
        return row_of(camp, person).state


def kept(app: Flask) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(Operation)) or 0


def test_a_mark_arrives_with_its_row_and_badges_and_both_times_are_kept(
    app: Flask, phone: Phone, camps: Camps, people: People
) -> None:
    made_at = SUNDAY - timedelta(hours=2)
    sent = mark(camps.today, people.volunteer, base="expected") | {"made_at": made_at.isoformat()}
    (result,) = phone.send(sent)
    assert (result["id"], result["outcome"]) == (sent["id"], "done")
    assert result["said"] == "Asha Rao is present. New: First Step."
    (row,) = result["rows"]
    assert f'id="person-{people.volunteer.id}"' in row
    assert "First Step" in row
    with app.app_context():
        stored = db.session.get(Operation, UUID(sent["id"]))
        assert stored is not None
        assert (stored.made_at, stored.received_at, stored.by_id) == (made_at, SUNDAY, people.coordinator.id)


def test_a_row_of_an_answer_stands_verbatim_in_the_page(phone: Phone, camps: Camps, people: People) -> None:
    phone.send(mark(camps.today, people.volunteer))
    (again,) = phone.send(mark(camps.today, people.volunteer))
    assert again["rows"][0].strip() in phone.client.get(f"/roll-call/{camps.today.id}").text


def as_html(phone: Phone, *operations: object, **body: object) -> str:
    """What htmx gets for a batch."""
    sent = {"owner": str(phone.owner.id), "sent_at": clock.now().isoformat(), "operations": list(operations)} | body
    response = phone.client.post("/roll-call/sync", json=sent, headers=HTMX)
    assert (response.status_code, response.mimetype) == (200, "text/html")
    return response.text


def test_htmx_gets_every_row_once_and_the_outcomes_last(
    app: Flask, phone: Phone, other_phone: Phone, camps: Camps, people: People
) -> None:
    other_phone.send(mark(camps.today, people.other, "excused"))
    leaves = operation(camps.today, "leave", person=people.volunteer.id, at="now")
    asked, refused = mark(camps.today, people.other), mark(camps.today, people.stranger)
    html = as_html(phone, mark(camps.today, people.volunteer), leaves, asked, refused)
    assert re.findall(r'<li id="person-([^"]+)"', html) == [
        str(person.id) for person in (people.volunteer, people.other, people.stranger)
    ]
    assert html.count('<hx-partial hx-target="#rows"') == 1
    outcomes = re.findall(r'<hx-outcome for="([^"]+)" outcome="(\w+)"', html)
    assert [outcome for _, outcome in outcomes] == ["done", "done", "asked", "refused"]
    assert outcomes[2][0] == asked["id"]
    assert html.index("<hx-outcome") > html.rindex("</hx-partial>")
    question = html.partition(f'for="{asked["id"]}"')[2].partition("</hx-outcome>")[0]
    assert "Meera Krishnan marked excused at 11:30. Here: present at 11:30. Which is right?" in question
    assert re.findall(r'data-answer="(\w+)"', question) == ["theirs", "mine"]
    refusal = html.partition(f'for="{refused["id"]}"')[2]
    assert "Not saved (present): Nobody Now&#39;s account is switched off." in refusal
    assert re.findall(r'data-answer="(\w+)"', refusal) == ["theirs"]


def test_rows_of_another_camp_are_told_apart_and_a_clock_that_is_off_is_named(
    phone: Phone, camps: Camps, people: People
) -> None:
    sent_at = (clock.now() + timedelta(hours=2)).isoformat()
    html = as_html(phone, mark(camps.today, people.volunteer), mark(camps.past, people.other), sent_at=sent_at)
    swaps = re.findall(r'<hx-partial hx-target="#rows" hx-swap="rows camp:(\S+) at:\d+ again:true">', html)
    assert swaps == [str(camps.today.id), str(camps.past.id)]
    assert "This phone’s clock is 2 hours ahead." in html


def test_a_name_is_text_in_every_partial(app: Flask, phone: Phone, camps: Camps) -> None:
    name = '<hx-outcome for=x outcome=done> & "Asha"'
    html = as_html(phone, operation(camps.today, "add", person=uuid4(), name=name))
    assert html.count("<hx-outcome") == 1
    assert "&lt;hx-outcome for=x outcome=done&gt; &amp; &#34;Asha&#34; is present." in html


def test_a_repeated_operation_is_done_once(app: Flask, phone: Phone, camps: Camps, people: People) -> None:
    present, undone = (
        mark(camps.today, people.volunteer),
        mark(camps.today, people.volunteer, "expected", base="present"),
    )
    assert phone.outcomes(present, undone) == ["done", "done"]
    assert phone.outcomes(present) == ["done"]  # the first answer was lost
    assert state(app, camps.today, people.volunteer) is State.EXPECTED
    assert phone.outcomes(present, present, undone) == ["done", "done", "done"]
    assert state(app, camps.today, people.volunteer) is State.EXPECTED
    assert kept(app) == 2


def test_the_operations_of_a_batch_are_done_in_their_order(
    app: Flask, phone: Phone, camps: Camps, people: People
) -> None:
    new = uuid4()
    results = phone.send(
        operation(camps.today, "add", person=new, name="  Zoya   Khan "),
        operation(camps.today, "leave", person=new, at="11:15"),
        mark(camps.today, people.other, "present", camp_role="doctor"),
        mark(camps.today, people.other, "excused", base="present", reason="called away"),
    )
    assert [result["outcome"] for result in results] == ["done"] * 4
    with app.app_context():
        person = accounts.by_id(new)
        assert person is not None
        assert (person.name, person.book_no) == ("Zoya Khan", 6)
        assert results[0]["said"].endswith("Zoya Khan has book number 6.")
        found = row_of(camps.today, person).attendance
        assert found is not None
        assert found.left_at == SUNDAY.replace(hour=5, minute=45)
        assert badge_names(person) == ["First Step"]
        other = row_of(camps.today, people.other).attendance
        assert other is not None
        assert (other.state, other.reason) == (State.EXCUSED, "called away")


@pytest.mark.parametrize(
    ("decided", "base", "outcome"),
    [
        ("excused", "expected", "asked"),  # the other door decided differently
        ("present", "expected", "done"),  # the other door decided the same
        ("excused", "excused", "done"),  # known here, and changed
        ("absent", "excused", "asked"),
        ("present:doctor", "expected", "done"),  # no camp role was meant here
        (None, "expected", "done"),
        (None, "absent", "asked"),  # a mark was taken back that stood here
    ],
)
def test_what_somebody_else_decided_is_never_overwritten_silently(
    app: Flask,
    phone: Phone,
    other_phone: Phone,
    camps: Camps,
    people: People,
    decided: str | None,
    base: str,
    outcome: str,
) -> None:
    if decided:
        wanted, _, role = decided.partition(":")
        other_phone.send(mark(camps.today, people.volunteer, wanted, camp_role=role or None))
    before = state(app, camps.today, people.volunteer)
    (result,) = phone.send(mark(camps.today, people.volunteer, base=base))
    assert result["outcome"] == outcome
    assert state(app, camps.today, people.volunteer) is (State.PRESENT if outcome == "done" else before)
    if outcome == "asked" and decided:
        assert result["said"] == f"Meera Krishnan marked {decided} at 11:30."
        assert f'data-state="{decided}"' in result["rows"][0]


def test_another_camp_role_is_asked_about_and_settled_by_a_second_mark(
    app: Flask, phone: Phone, other_phone: Phone, camps: Camps, people: People
) -> None:
    other_phone.send(mark(camps.today, people.volunteer, camp_role="doctor"))
    sent = mark(camps.today, people.volunteer, camp_role="coordinator", base="expected")
    (result,) = phone.send(sent)
    assert result["outcome"] == "asked"
    assert "marked present as doctor" in result["said"]
    mine = sent | {"id": str(uuid4()), "base": "present", "base_role": "doctor"}
    assert phone.outcomes(mine) == ["done"]
    with app.app_context():
        found = row_of(camps.today, people.volunteer).attendance
        assert found is not None
        assert found.camp_role is CampRole.COORDINATOR


def test_what_was_presumed_or_said_beforehand_asks_nothing(
    app: Flask, phone: Phone, camps: Camps, people: People
) -> None:
    with app.app_context(), writing():
        roll_call.close(camps.today, by=people.admin)
    with app.app_context(), clock.stopped_at(SUNDAY - timedelta(hours=4)), writing():
        marking.say_not_coming(people.other, camps.today)
    assert phone.outcomes(
        mark(camps.today, people.volunteer, base="expected"), mark(camps.today, people.other, base=None)
    ) == ["done", "done"]


def test_everyone_closing_and_reopening(
    app: Flask, phone: Phone, other_phone: Phone, camps: Camps, people: People
) -> None:
    with app.app_context(), writing():
        marking.sign_up(people.other, camps.today)
    other_phone.send(mark(camps.today, people.volunteer, "excused"))
    (everyone,) = phone.send(
        operation(camps.today, "everyone", people=[str(people.volunteer.id), str(people.other.id)])
    )
    assert everyone["said"].startswith("1 person marked present. 1 person had been marked meanwhile")
    assert len(everyone["rows"]) == 2
    with app.app_context(), writing():
        marking.sign_up(people.admin, camps.today)
    (closed,) = phone.send(operation(camps.today, "close"))
    assert "1 person marked absent" in closed["said"]
    assert closed["closed"] == "Closed by Ravi Gowda, today at 11:30."
    (opened,) = phone.send(operation(camps.today, "reopen"))
    assert (opened["closed"], state(app, camps.today, people.admin)) == ("", State.EXPECTED)
    assert state(app, camps.today, people.volunteer) is State.EXCUSED


def test_a_card_counts_by_its_signature(app: Flask, phone: Phone, camps: Camps, people: People) -> None:
    secret = str(app.config["SECRET_KEY"])
    good = cards.text_of(people.volunteer, secret)
    results = phone.send(
        mark(camps.today, people.other, card=good),
        mark(camps.today, people.volunteer, card=cards.text_of(people.volunteer, "another secret")),
        mark(camps.today, people.volunteer, card=good),
    )
    assert [result["outcome"] for result in results] == ["refused", "refused", "done"]
    assert "names somebody else" in results[0]["said"]
    assert "not a card of this organisation" in results[1]["said"]
    assert state(app, camps.today, people.other) is None


def test_a_scanned_card_is_named_or_refused_in_words(app: Flask, phone: Phone, camps: Camps, people: People) -> None:
    at = f"/roll-call/{camps.today.id}/card"
    text = cards.text_of(people.other, str(app.config["SECRET_KEY"]))
    answer = phone.client.post(at, json={"card": text}, headers=JSON).get_json()
    assert answer["person"] == str(people.other.id)
    assert "Imran Pasha" in answer["rows"][0]
    for body, said in (
        ({"card": "shampoo"}, "not a Camp Badges card"),
        ({"card": 7}, "not a Camp Badges card"),
        ([], "not a Camp Badges card"),
        ({"card": cards.text_of(people.stranger, str(app.config["SECRET_KEY"]))}, "switched off"),
    ):
        response = phone.client.post(at, json=body, headers=JSON)
        assert response.status_code == 400
        assert said in response.get_json()["detail"]


# --- hostile input ---------------------------------------------------------------------------------


def test_ten_thousand_operations_are_bounded_and_answered(
    app: Flask, phone: Phone, camps: Camps, people: People
) -> None:
    tiny = phone.post(*[{"id": str(number)} for number in range(10_000)])
    assert tiny.status_code == 413
    assert tiny.get_json()["detail"] == "At most 100 operations at a time; 10,000 came. Nothing was changed."
    real = phone.post(*[mark(camps.today, people.volunteer) for _ in range(10_000)])
    assert real.status_code == 413
    assert real.get_json()["detail"]
    assert (kept(app), state(app, camps.today, people.volunteer)) == (0, State.EXPECTED)


def test_each_bad_operation_is_named_and_the_good_ones_are_kept(
    app: Flask, phone: Phone, camps: Camps, people: People
) -> None:
    with app.app_context():
        cancelled = factories.camp(2, "Cancelled camp")
        with writing():
            schedule.cancel_camp(cancelled)
        nowhere = Camp(id=uuid4(), name="")
        nobody = Person(id=uuid4(), name="")
    good, late = mark(camps.today, people.volunteer), mark(camps.past, people.other)
    bad: list[tuple[object, str]] = [
        (mark(camps.future, people.volunteer), "has not been held yet"),
        (mark(cancelled, people.volunteer), "was cancelled"),
        (mark(nowhere, people.volunteer), "no such camp"),
        (mark(camps.today, nobody), "no such person"),
        (mark(camps.today, people.stranger), "switched off"),
        (mark(camps.today, people.other, "here"), "state"),
        (mark(camps.today, people.other, camp_role="nurse"), "camp_role"),
        (mark(camps.today, people.other, "excused", reason="x" * 201), "reason"),
        (mark(camps.today, people.other) | {"id": "not-a-uuid"}, "id"),
        (mark(camps.today, people.other) | {"made_at": "yesterday"}, "made_at"),
        (mark(camps.today, people.other) | {"made_at": "2026-04-12T09:00:00"}, "made_at"),
        (mark(camps.today, people.other) | {"action": "erase"}, "action"),
        (mark(camps.today, people.other) | {"is_admin": True}, "is_admin"),
        (operation(camps.today, "add", person=uuid4(), name=" "), "name is needed"),
        (operation(camps.today, "add", person=people.other.id, name="Imran"), "added already"),
        (operation(camps.today, "leave", person=people.other.id, at="now"), "not marked present"),
        (operation(camps.today, "leave", person=people.other.id, at="25:99"), "at"),
        (operation(camps.today, "everyone", people="all"), "people"),
        (operation(camps.future, "close"), "has not been held yet"),
        ("garbage", "understood"),
        (None, "understood"),
        (["a"], "understood"),
        ({}, "understood"),
    ]
    results = phone.send(good, *(each for each, _ in bad), late)
    assert [result["outcome"] for result in results] == ["done", *["refused"] * len(bad), "done"]
    for result, (sent, said) in zip(results[1:-1], bad, strict=True):
        assert said in result["said"], sent
        assert result["id"] == (sent.get("id") if isinstance(sent, dict) else None)
    assert state(app, camps.today, people.volunteer) is State.PRESENT
    assert state(app, camps.past, people.other) is State.PRESENT
    assert (state(app, camps.today, people.other), kept(app)) == (None, 2)


@pytest.mark.parametrize("body", ["garbage", "[]", "{}", '{"operations": 7}', "", "\x00", '{"operations": []}'])
def test_what_is_no_batch_is_refused(phone: Phone, body: str) -> None:
    response = phone.client.post("/roll-call/sync", data=body, content_type="application/json", headers=JSON)
    assert response.status_code in (400, 409)
    assert response.get_json()["detail"]


def test_somebody_elses_outbox_is_not_taken(app: Flask, phone: Phone, camps: Camps, people: People) -> None:
    response = phone.post(mark(camps.today, people.volunteer), owner=str(people.admin.id))
    assert response.status_code == 409
    assert "somebody else's" in response.get_json()["detail"]
    assert state(app, camps.today, people.volunteer) is State.EXPECTED


def test_somebody_elses_operation_id_is_not_done(
    app: Flask, phone: Phone, other_phone: Phone, camps: Camps, people: People
) -> None:
    sent = mark(camps.today, people.volunteer)
    phone.send(sent)
    (result,) = other_phone.send(sent | {"person": str(people.other.id)})
    assert (result["outcome"], "same id" in result["said"]) == ("refused", True)
    assert state(app, camps.today, people.other) is None


def test_a_session_that_ended_and_a_token_of_another_are_told_as_json(
    app: Flask, client: FlaskClient, phone: Phone, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "WTF_CSRF_ENABLED", True)
    signed_out = client.post("/roll-call/sync", json={}, headers=JSON)
    assert (signed_out.status_code, signed_out.get_json()) == (401, {"detail": "Please sign in again."})
    assert client.get("/roll-call/session", headers=JSON).status_code == 401
    token = phone.client.get("/roll-call/session", headers=JSON).get_json()["csrf_token"]
    assert phone.post().status_code == 400  # no token
    elsewhere = app.test_client().get("/sign-in").text.partition('name="csrf_token"')[2].split('"')[5]
    theirs = phone.client.post("/roll-call/sync", json={}, headers=JSON | {"X-CSRFToken": elsewhere})
    assert theirs.status_code == 400
    body = {"owner": str(people.coordinator.id), "operations": []}
    sent = phone.client.post("/roll-call/sync", json=body, headers=JSON | {"X-CSRFToken": token})
    assert (sent.status_code, sent.get_json()["results"]) == (200, [])


@pytest.mark.parametrize("days", [-2, 2])
def test_a_clock_two_days_off_is_put_right_and_told(
    app: Flask, phone: Phone, camps: Camps, people: People, days: int
) -> None:
    off = timedelta(days=days)
    made_at = SUNDAY - timedelta(minutes=40) + off
    response = phone.post(
        mark(camps.today, people.volunteer) | {"made_at": made_at.isoformat()},
        operation(camps.today, "leave", person=people.volunteer.id, at="now") | {"made_at": made_at.isoformat()},
        sent_at=(SUNDAY + off).isoformat(),
    )
    answer = response.get_json()
    assert answer["clock_off"] == days * 86400
    assert [result["outcome"] for result in answer["results"]] == ["done", "done"]
    with app.app_context():
        found = row_of(camps.today, people.volunteer).attendance
        assert found is not None
        assert found.left_at == SUNDAY - timedelta(minutes=40)


@pytest.mark.parametrize("sent_at", ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59+00:00", "soon", None, 7])
def test_a_clock_that_makes_no_sense_changes_no_outcome(
    phone: Phone, camps: Camps, people: People, sent_at: object
) -> None:
    for made_at in ("0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59+00:00"):
        (result,) = phone.send(mark(camps.today, people.volunteer) | {"made_at": made_at}, sent_at=sent_at)
        assert result["outcome"] == "done"


def test_two_phones_add_somebody_at_once_and_each_gets_a_number(
    app: Flask, as_: As, camps: Camps, people: People
) -> None:
    import threading

    sent = [operation(camps.today, "add", person=uuid4(), name=f"New {number}") for number in range(8)]
    results: list[dict[str, Any]] = []

    def send(each: dict[str, Any]) -> None:
        results.extend(Phone(as_(people.coordinator), people.coordinator).send(each, each))

    threads = [threading.Thread(target=send, args=(each,)) for each in sent]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result["outcome"] for result in results] == ["done"] * 16
    with app.app_context():
        numbers = db.session.scalars(select(Person.book_no).where(Person.name.startswith("New"))).all()
    assert len(set(numbers)) == 8


def test_the_same_operation_at_the_same_instant_is_done_once(app: Flask, as_: As, camps: Camps, people: People) -> None:
    import threading

    sent = operation(camps.today, "add", person=uuid4(), name="Zoya Khan")
    outcomes: list[str] = []

    def send() -> None:
        outcomes.extend(Phone(as_(people.coordinator), people.coordinator).outcomes(sent))

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == ["done"] * 6
    with app.app_context():
        found = db.session.scalar(select(func.count()).select_from(Person).where(Person.name == "Zoya Khan"))
    assert (found, kept(app)) == (1, 1)


def test_the_others_are_those_who_may_walk_in(app: Flask, phone: Phone, camps: Camps, people: People) -> None:
    answer = phone.client.get(f"/roll-call/{camps.today.id}/others").get_json()
    assert answer["whole"] is True
    assert {name for _, _, name, _, _ in answer["people"]} == {"Imran Pasha", "Ravi Gowda", "Meera Krishnan"}
    with app.app_context():
        factories.person("Śrīnivāsa Rao")
    found = phone.client.get(f"/roll-call/{camps.today.id}/others?q=srini").get_json()
    assert [each[2:4] for each in found["people"]] == [["Śrīnivāsa Rao", "srinivasa rao"]]
    assert json.dumps(found["people"][0][4])


def test_a_mark_taken_back_that_changed_nothing_does_not_take_back_somebody_elses(
    app: Flask, phone: Phone, other_phone: Phone, camps: Camps, people: People
) -> None:
    other_phone.send(mark(camps.today, people.volunteer))
    results = phone.send(
        mark(camps.today, people.volunteer, base="expected"),
        mark(camps.today, people.volunteer, "expected", base="present", unconfirmed=True),
    )
    assert [result["outcome"] for result in results] == ["done", "asked"]
    assert results[1]["said"] == "Meera Krishnan marked present as volunteer at 11:30."
    assert state(app, camps.today, people.volunteer) is State.PRESENT


def test_ones_own_mark_and_a_known_reason_are_not_overwritten_either(
    app: Flask, phone: Phone, other_phone: Phone, camps: Camps, people: People
) -> None:
    phone.send(mark(camps.today, people.coordinator))  # they marked themselves
    (absent,) = other_phone.send(mark(camps.today, people.coordinator, "absent", base=None))
    assert absent["outcome"] == "asked"
    other_phone.send(mark(camps.today, people.volunteer, "excused", reason="hospital"))
    phone.send(mark(camps.today, people.volunteer, "excused", base="expected"))
    with app.app_context():
        found = row_of(camps.today, people.volunteer).attendance
        assert found is not None
        assert found.reason == "hospital"


def test_times_and_texts_that_no_database_holds_are_refused_and_the_rest_is_kept(
    app: Flask, phone: Phone, camps: Camps, people: People
) -> None:
    times = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00")
    results = phone.send(
        *(mark(camps.today, people.other) | {"made_at": made_at} for made_at in times),
        mark(camps.today, people.volunteer, "excused", reason="a\x00b"),
    )
    assert [result["outcome"] for result in results] == ["refused", "refused", "done"]
    deep = phone.client.post("/roll-call/sync", data="[" * 200_000, content_type="application/json", headers=JSON)
    assert deep.status_code == 400
