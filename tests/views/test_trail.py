"""The audit trail as an admin reads it: sentences, search, pages, CSV, and why somebody has a badge."""

import csv
import html
import io
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete, func, select, update

from tests import factories
from tests.conftest import SUNDAY, People
from tests.factories import attend, weekly
from tests.views.conftest import HTMX, Camps
from webapp import clock
from webapp.database import db, writing
from webapp.domain import audit, audit_search
from webapp.domain.attendance import marking
from webapp.domain.audit import Action, Consequence, Effect, Entry, EntryAward
from webapp.domain.audit_search import AuditFilter, Place
from webapp.domain.badges import awards
from webapp.domain.camps.calendar import Camp
from webapp.domain.cells import BYTE_ORDER_MARK as BOM
from webapp.domain.models.badge import Award, Badge, BadgeVersion, Revocation
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Person

As = Callable[[Person], FlaskClient]
PHONE = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 7) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/130.0.0.0 Mobile Safari/537.36"
)
TRAIL = "/office/trail/"


def words(page: str) -> str:
    """What a page says, without its tags."""
    main = page.partition("<main")[2]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", main)).split()).replace(" ,", ",").replace(" .", ".")


def mark(client: FlaskClient, camp: Camp, person: Person, state: str) -> None:
    path = f"/roll-call/{camp.id}/people/{person.id}"
    answer = client.post(path, data={"state": state}, headers=HTMX | {"User-Agent": PHONE})
    assert answer.status_code == 200, answer.text


def lines(page: str) -> list[str]:
    """The entries of a page, each in words."""
    return [words(f"<main {part}") for part in re.findall(r"<li>\s*(<a class=\"number\".*?)</li>", page, re.DOTALL)]


@pytest.fixture
def minutes(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Each call lets a minute pass, so that entries have an order."""
    now = SUNDAY

    def go_on() -> None:
        nonlocal now
        now += timedelta(minutes=1)
        monkeypatch.setattr(clock, "_source", lambda at=now: at)

    return go_on


def test_a_mark_reads_as_a_sentence(app: Flask, as_: As, people: People, camps: Camps) -> None:
    mark(as_(people.coordinator), camps.today, people.volunteer, "present")
    page = as_(people.admin).get(TRAIL).text
    (line,) = [line for line in lines(page) if "marked" in line]
    said = "Ravi Gowda marked Asha Rao present at Camp of today, Sun 12 April 2026"
    assert line == f"Marked present at 11:30 {said} awarded First Step Chrome Mobile, Android"
    assert f'<a href="/people/{people.volunteer.id}">Asha Rao</a>' in page
    assert f'<a href="/roll-call/{camps.today.id}">Camp of today' in page


def test_what_each_kind_of_action_says(app: Flask, as_: As, people: People, camps: Camps) -> None:
    coordinator, volunteer, admin = as_(people.coordinator), as_(people.volunteer), as_(people.admin)
    for state in ("present:doctor", "excused", "absent", "expected", "present", "left", "stayed"):
        mark(coordinator, camps.today, people.volunteer, state)
    coordinator.post(f"/roll-call/{camps.today.id}/people", data={"name": "Kavitha Reddy"})
    coordinator.post(f"/roll-call/{camps.today.id}/close")
    coordinator.post(f"/roll-call/{camps.today.id}/reopen")
    for answer in ("coming", "not-coming", "coming"):
        volunteer.post(f"/cabinet/camps/{camps.future.id}", data={"answer": answer})
    volunteer.post("/account/leaderboards", data={"show": "no"})
    volunteer.post("/account/leaderboards", data={"show": "yes"})
    volunteer.post("/cabinet/card")
    coordinator.post(f"/people/{people.volunteer.id}/card")
    admin.post("/leaderboard/neighbourhoods", data={"show": "yes"})
    admin.post("/office/settings/", data={"organisation": "Arogya", "time_zone": "Asia/Kolkata"})
    said = words(admin.get(TRAIL).text)
    here, next_camp = "Camp of today, Sun 12 April 2026", "Next camp, Sun 19 April 2026"
    for sentence in (
        f"Ravi Gowda marked Asha Rao present as doctor at {here}",
        f"Ravi Gowda excused Asha Rao from {here}",
        f"Ravi Gowda marked Asha Rao absent from {here}",
        f"Ravi Gowda took back the mark of Asha Rao at {here}",
        f"Ravi Gowda noted that Asha Rao left {here} at 11:30",
        f"Ravi Gowda took back the leaving time of Asha Rao at {here}",
        "Ravi Gowda added Kavitha Reddy",
        f"Ravi Gowda closed the roll call of {here}",
        f"Ravi Gowda opened the roll call of {here} again",
        f"Asha Rao signed up for {next_camp}",
        f"Asha Rao said they cannot come to {next_camp}",
        f"Asha Rao said they come to {next_camp}",
        "Asha Rao left the leaderboards",
        "Asha Rao came back to the leaderboards",
        "Asha Rao replaced their own card",
        "Ravi Gowda replaced the card of Asha Rao",
        "Meera Krishnan changed the settings: neighbourhoods is “yes”",
        "Meera Krishnan changed the settings: name is “Arogya”",
        f"The command line put {here} on the calendar",
    ):
        assert sentence in said


@pytest.mark.parametrize(
    ("action", "details", "said"),
    [
        (Action.SITE_ADDED, {"name": "North", "time_zone": "Asia/Kolkata"}, "added the place North"),
        (
            Action.CAMP_CHANGED,
            {"before": {"camp_date": "2026-04-11"}, "after": {"camp_date": "2026-04-12"}},
            "changed Camp of today, Sun 12 April 2026 (camp date from 2026-04-11 to 2026-04-12)",
        ),
        (Action.PERSON_CHANGED, {"changed": ["name"]}, "changed what is kept of Asha Rao (name)"),
        (Action.BADGE_CHANGED, {"changed": ["criteria_value", "metal"]}, "First Step (criteria value, metal)"),
        (Action.ROLE_CHANGED, {"before": "volunteer", "role": "admin"}, "of Asha Rao from volunteer to admin"),
        (Action.PEOPLE_IMPORTED, {"new_people": 2, "bad": 1}, "imported people: 1 row refused, 2 new people"),
        (Action.EXPORTED, {"what": "attendance"}, "exported attendance"),
    ],
)
def test_what_was_changed_is_said(
    app: Flask, as_: As, people: People, camps: Camps, action: Action, details: dict[str, object], said: str
) -> None:
    with app.app_context():
        badge = db.session.scalars(select(Badge).where(Badge.name == "First Step")).one()
        with writing():
            here = {"person_id": people.volunteer.id, "camp_id": camps.today.id, "badge_id": badge.id}
            entry_id = audit.note(action, by_id=people.admin.id, details=details, **here)  # type: ignore[arg-type]
    page = words(as_(people.admin).get(f"{TRAIL}{entry_id}").text)
    assert said in page
    assert "{" not in page


def test_every_action_has_its_words(app: Flask, as_: As, people: People, camps: Camps) -> None:
    with app.app_context():
        badge = db.session.scalars(select(Badge)).first()
        assert badge
        with writing():
            for action in Action:
                for person_id in (people.volunteer.id, people.admin.id, None):
                    camp_id, by_id = camps.today.id, people.admin.id
                    audit.note(action, by_id=by_id, person_id=person_id, camp_id=camp_id, badge_id=badge.id)
                audit.note(action, person_id=uuid4(), camp_id=uuid4(), badge_id=uuid4(), details={"left_at": "never"})
        places = [(entry.id, entry.action) for entry in audit_search.entries(limit=1000)]
    admin = as_(people.admin)
    for entry_id, action in places:
        said = words(admin.get(f"{TRAIL}{entry_id}").text)
        assert "{" not in said, (action, said)
    assert admin.post(f"{TRAIL}audit-trail.csv").text.count("\n") == len(places) + 1 + 1  # its own, and the header


def test_a_phones_marks_name_the_phone_and_the_api_its_script(
    app: Flask, as_: As, people: People, camps: Camps, token: Callable[[Person], dict[str, str]]
) -> None:
    operation = {
        "id": str(uuid4()),
        "camp": str(camps.today.id),
        "made_at": SUNDAY.isoformat(),
        "action": "mark",
        "person": str(people.volunteer.id),
        "state": "present",
    }
    body = {"owner": str(people.coordinator.id), "operations": [operation], "sent_at": SUNDAY.isoformat()}
    client = as_(people.coordinator)
    for _ in range(2):  # sent again, it is entered once
        sent = client.post("/roll-call/sync", json=body, headers={"User-Agent": PHONE})
        assert 'outcome="done"' in sent.text
    path = f"/api/v1/medical-camps/camp/{people.other.id}/attendance"
    headers = token(people.coordinator) | {"User-Agent": "okhttp/4.12.0"}
    assert client.put(path, json={"logout": False}, headers=headers).status_code == 200
    with app.app_context():
        found = audit_search.entries(AuditFilter(action=Action.PRESENT), limit=10)
    devices = {entry.person_id: entry.device for entry in found}
    assert devices == {people.volunteer.id: "Chrome Mobile, Android", people.other.id: "okhttp"}
    assert {entry.by_id for entry in found} == {people.coordinator.id}


def test_what_changes_nothing_is_not_entered(app: Flask, as_: As, people: People, camps: Camps) -> None:
    coordinator, volunteer, admin = as_(people.coordinator), as_(people.volunteer), as_(people.admin)

    def twice() -> int:
        for _ in range(2):
            for state in ("present", "left", "stayed"):
                mark(coordinator, camps.today, people.volunteer, state)
                mark(coordinator, camps.today, people.volunteer, state)
            coordinator.post(f"/roll-call/{camps.today.id}/close")
        for _ in range(2):
            volunteer.post("/account/leaderboards", data={"show": "no"})
            admin.post("/leaderboard/neighbourhoods", data={"show": "yes"})
            admin.post("/office/settings/", data={"organisation": "Arogya", "time_zone": "Asia/Kolkata"})
            admin.post("/office/start/skip")
        with app.app_context():
            return db.session.scalar(select(func.count()).select_from(Entry)) or 0

    with app.app_context():
        before = db.session.scalar(select(func.count()).select_from(Entry)) or 0
    # present, left, stayed, closed, left, stayed; opted out, two settings, skipped
    assert twice() == before + 10


@pytest.fixture
def busy(app: Flask, people: People, camps: Camps, minutes: Callable[[], None]) -> None:
    """Things done a minute apart: two marks by the coordinator, one by the admin, an import that awarded the other."""
    with app.app_context():
        for by, who, camp in (
            (people.coordinator, people.volunteer, camps.past),
            (people.coordinator, people.other, camps.past),
            (people.admin, people.volunteer, camps.today),
        ):
            minutes()
            attend(who, [camp], by)
        badge = db.session.scalars(select(Badge).where(Badge.name == "On a Roll")).one()
        minutes()
        with writing():
            awards = [Consequence(people.other.id, badge.id, Effect.NEW)]
            audit.note(Action.IMPORTED, by_id=people.admin.id, details={"stored": 12}, awards=awards)


PRESENT = ["Asha Rao present at Camp of today", "Imran Pasha present at Past camp", "Asha Rao present at Past camp"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("action=present", PRESENT),
        ("action=present&person=rao", [PRESENT[0], PRESENT[2]]),
        ("action=present&by=ravi", PRESENT[1:]),
        ("by=ravi&person=rao", [PRESENT[2]]),
        ("action=present&camp=today", PRESENT[:1]),
        ("action=present&camp=2026-04-05", PRESENT[1:]),
        ("person=imran", ["imported a history: 12 rows stored", PRESENT[1], "The command line added Imran Pasha"]),
        ("action=imported&since=2026-04-12&until=2026-04-12", ["imported a history"]),
        ("action=imported&since=2026-04-13", []),
        ("action=imported&until=2026-04-11", []),
        ("by=command-line&action=camp_added&camp=next", ["put Next camp, Sun 19 April 2026 on the calendar"]),
        ("action=role_changed", []),
    ],
)
def test_it_can_be_searched(as_: As, people: People, busy: None, query: str, expected: list[str]) -> None:
    admin = as_(people.admin)
    found = lines(admin.get(f"{TRAIL}?{query}").text)
    assert len(found) == len(expected), found
    for line, part in zip(found, expected, strict=True):
        assert part in line
    rows = list(csv.reader(io.StringIO(admin.post(f"{TRAIL}audit-trail.csv?{query}").text)))[1:]
    assert len(rows) == len(expected)
    for row, part in zip(rows, expected, strict=True):
        assert part in row[-1]


def test_the_day_is_the_organisations(app: Flask, as_: As, people: People, camps: Camps) -> None:
    late = datetime(2026, 4, 12, 20, 0, tzinfo=UTC)  # 1:30 of the 13th in Asia/Kolkata
    with app.app_context(), clock.stopped_at(late):
        attend(people.volunteer, [camps.today], people.coordinator)
    admin = as_(people.admin)
    assert lines(admin.get(f"{TRAIL}?action=present&until=2026-04-12").text) == []
    page = admin.get(f"{TRAIL}?action=present&since=2026-04-13&until=2026-04-13").text
    assert "at 01:30" in lines(page)[0]
    assert "Mon 13 April 2026" in words(page)


def test_who_or_where_is_asked_back_where_several_fit(app: Flask, as_: As, people: People, camps: Camps) -> None:
    admin = as_(people.admin)
    with app.app_context():
        factories.person("Asha Pillai")
    page = admin.get(f"{TRAIL}?person=asha&action=present").text
    assert "Whom it concerns: “asha” may be several." in words(page)
    assert f"person={people.volunteer.id}" in page
    assert "action=present" in re.findall(r'href="([^"]*person=[^"]*)"', page)[0]
    assert "At which camp: “camp” may be several." in words(admin.get(f"{TRAIL}?camp=camp").text)
    number = admin.get(f"{TRAIL}?person={people.volunteer.book_no}").text
    assert "about Asha Rao" in words(number)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("person=zzz", "nothing matches “zzz”"),
        ("by=zzz", "nothing matches “zzz”"),
        ("camp=zzz", "nothing matches “zzz”"),
        ("action=dance", "“dance” is no kind of action"),
        ("since=yesterday", "“yesterday” is not a date"),
        ("until=9999-12-31", "is not a date"),
        (f"person={UUID(int=7)}", "nothing matches"),
    ],
)
def test_what_cannot_be_searched_for_is_said(as_: As, people: People, query: str, said: str) -> None:
    admin = as_(people.admin)
    for answer in (admin.get(f"{TRAIL}?{query}"), admin.post(f"{TRAIL}audit-trail.csv?{query}")):
        assert answer.status_code == 422
        assert said in words(answer.text)


@pytest.mark.parametrize("name", ["person", "by", "action", "camp", "since", "until", "after"])
def test_odd_questions_get_an_answer(as_: As, people: People, camps: Camps, name: str) -> None:
    admin = as_(people.admin)
    for value in ("%00", "a%00b", "%ED%A0%80", "9" * 30, "99999999999999999999.x", "{%C2%B2}", "0001-01-01"):
        assert admin.get(f"{TRAIL}?{name}={value}").status_code in (200, 422), value


def test_pages_go_on_after_the_last_entry_whatever_comes_meanwhile(
    app: Flask, as_: As, people: People, camps: Camps
) -> None:
    with app.app_context(), writing():
        for _ in range(120):  # all at the same instant
            audit.note(Action.EVALUATED, by_id=people.coordinator.id, person_id=people.volunteer.id)
    admin = as_(people.admin)
    address: str | None = f"{TRAIL}?action=evaluated&person={people.volunteer.id}"
    seen: list[str] = []
    sizes = []
    while address:
        page = admin.get(address).text
        found = re.findall(rf'class="number" href="{TRAIL}([^"]+)"', page)
        seen += found
        sizes.append(len(found))
        older = re.search(r'rel="next" href="([^"]+)"', page)
        address = html.unescape(older[1]) if older else None
        with app.app_context(), clock.stopped_at(SUNDAY + timedelta(minutes=len(sizes))), writing():
            audit.note(Action.EVALUATED, by_id=people.coordinator.id, person_id=people.volunteer.id)
    assert sizes == [50, 50, 20]
    assert len(set(seen)) == 120


def test_a_page_asks_no_more_for_more_entries(app: Flask, as_: As, people: People, camps: Camps) -> None:
    from tests.views.test_lists import queries_of

    admin = as_(people.admin)
    with app.app_context():
        attend(factories.person("Somebody"), [camps.today], people.admin)
    few = queries_of(app, lambda: admin.get(TRAIL))
    with app.app_context():
        for number in range(20):
            attend(factories.person(f"Person {number}"), [camps.today], people.admin)
    assert queries_of(app, lambda: admin.get(TRAIL)) == few <= 14


def test_csv_opens_in_a_spreadsheet_and_runs_nothing(app: Flask, as_: As, people: People, camps: Camps) -> None:
    with app.app_context():
        names = ["=HYPERLINK(1)", "+1", "-1", "@SUM", "Śrī, “Rao”"]
        for name in names:
            attend(factories.person(name), [camps.today], people.coordinator)
    answer = as_(people.admin).post(f"{TRAIL}audit-trail.csv?action=present")
    assert answer.mimetype == "text/csv"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="audit-trail.csv"'
    assert answer.is_streamed
    assert answer.data.decode().startswith(BOM)
    rows = list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"))))
    assert {row["person"] for row in rows} == {"'=HYPERLINK(1)", "'+1", "'-1", "'@SUM", "Śrī, “Rao”"}
    row = next(row for row in rows if row["person"] == "Śrī, “Rao”")
    assert row["at"] == "2026-04-12T11:30:00+05:30"
    assert (row["by"], row["by_book_no"]) == ("Ravi Gowda", str(people.coordinator.book_no))
    assert (row["camp"], row["camp_date"], row["awarded"]) == ("Camp of today", "2026-04-12", "First Step")
    assert row["device"] == "command line"
    said = words(as_(people.admin).get(f"{TRAIL}?action=exported").text)
    assert "Meera Krishnan exported the audit trail" in said


def test_csv_reads_a_chunk_at_a_time(app: Flask, as_: As, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    with app.app_context(), writing():
        for _ in range(250):
            audit.note(Action.EVALUATED, by_id=people.coordinator.id, person_id=people.volunteer.id)
    asked: list[int] = []
    real = audit_search.entries

    def entries(wanted: AuditFilter, *, after: Place | None = None, limit: int) -> list[Entry]:
        found = real(wanted, after=after, limit=limit)
        asked.append(len(found))
        return found

    monkeypatch.setattr(audit_search, "entries", entries)
    answer = as_(people.admin).post(f"{TRAIL}audit-trail.csv?action=evaluated")
    assert len(answer.text.splitlines()) == 251
    assert asked == [100, 100, 50, 0]


def test_who_was_anonymised_has_no_name_in_it(app: Flask, as_: As, people: People, camps: Camps) -> None:
    with app.app_context():
        attend(people.volunteer, [camps.today], people.coordinator)
        with writing():
            db.session.execute(update(Person).where(Person.id == people.volunteer.id).values(anonymised_at=clock.now()))
    admin = as_(people.admin)
    page, table = admin.get(TRAIL).text, admin.post(f"{TRAIL}audit-trail.csv").text
    assert "Ravi Gowda marked Former volunteer present" in words(page)
    assert "Former volunteer" in table
    assert "Asha" not in page + table


def test_an_entry_lists_every_award_page_by_page(app: Flask, as_: As, people: People) -> None:
    with app.app_context():
        badge = db.session.scalars(select(Badge).where(Badge.name == "First Step")).one()
        crowd = [factories.person(f"Person {number:03}") for number in range(130)]
        with writing():
            awards = [Consequence(each.id, badge.id, Effect.NEW) for each in crowd]
            entry_id = audit.note(Action.IMPORTED, by_id=people.admin.id, details={"bad": 1}, awards=awards)
    admin = as_(people.admin)
    line = lines(admin.get(f"{TRAIL}?action=imported").text)[0]
    assert line.count("First Step to Person") == audit_search.FEW_AWARDS - 1
    assert "and more" in line
    first = admin.get(f"{TRAIL}{entry_id}").text
    assert "Bad 1" in words(first)
    about_one = lines(admin.get(f"{TRAIL}?action=imported&person={crowd[77].id}").text)[0]
    assert about_one.endswith("awarded First Step to Person 077 command line")
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older
    second = admin.get(html.unescape(older[1])).text
    found = [re.findall(r"Person \d+", page) for page in (first, second)]
    assert [len(some) for some in found] == [100, 30]
    assert len({*found[0], *found[1]}) == 130
    assert admin.get(f"{TRAIL}{uuid4()}").status_code == 404


def test_an_admin_sees_why_somebody_has_a_badge_and_others_do_not(
    app: Flask, as_: As, people: People, camps: Camps, minutes: Callable[[], None]
) -> None:
    coordinator, path = as_(people.coordinator), f"/people/{people.volunteer.id}"
    for state in ("present", "excused", "present"):
        minutes()
        mark(coordinator, camps.today, people.volunteer, state)
    page = as_(people.admin).get(path).text
    said = words(page.partition('id="why-title"')[0][-20:] + "<main" + page.partition('id="why-title"')[2])
    here = "Camp of today, Sun 12 April 2026"
    expected = [
        f"Completed by {here}. It asks for 1 camp.",
        f"Awarded Sun 12 April 2026, 11:31: Ravi Gowda marked Asha Rao present at {here} Chrome Mobile, Android",
        f"Taken back Sun 12 April 2026, 11:32: Ravi Gowda excused Asha Rao from {here}",
        "Chrome Mobile, Android · Camp of today: marked excused instead of present",
        f"Given back Sun 12 April 2026, 11:33: Ravi Gowda marked Asha Rao present at {here}",
    ]
    places = [said.find(each.replace(": ", " : ")) if said.find(each) < 0 else said.find(each) for each in expected]
    assert -1 not in places, (said, places)
    assert places == sorted(places)
    assert f"/office/trail/?person={people.volunteer.id}" in page
    assert "why-title" not in coordinator.get(path).text
    assert "why-title" not in as_(people.volunteer).get("/cabinet").text
    assert "No badge yet, so there is nothing to explain." in as_(people.admin).get(f"/people/{people.other.id}").text


def test_what_the_trail_does_not_know_is_said(app: Flask, as_: As, people: People, camps: Camps) -> None:
    """An award from before there was a trail, taken away and given back then, and again since."""
    with app.app_context():
        attend(people.volunteer, [camps.past], people.coordinator)
        with writing():
            marking.undo(people.volunteer, camps.past, by=people.coordinator)
        attend(people.volunteer, [camps.past], people.coordinator)
        with writing():
            db.session.execute(delete(EntryAward))
            db.session.execute(delete(Entry))
            db.session.execute(update(Revocation).values(reason="an old reason"))
        with writing():
            marking.excuse(people.volunteer, camps.past, by=people.admin)
    said = words(as_(people.admin).get(f"/people/{people.volunteer.id}").text)
    assert "It was awarded before this was recorded, so who marked what then is not known." in said
    before = (
        "Taken back Sun 12 April 2026, 11:30 by Ravi Gowda: an old reason. It was given back Sun 12 April 2026, 11:30."
    )
    assert said.count(before) == 1
    assert "Past camp: marked excused instead of present" in said
    assert said.count("Taken back") == 3  # the chip, the old one and the new one


def test_an_award_tells_what_was_asked_when_it_was_earned(app: Flask, as_: As, people: People) -> None:
    with app.app_context():
        attend(people.volunteer, weekly(5), people.coordinator)
        badge = db.session.scalars(select(Badge).where(Badge.name == "Consistent Volunteer")).one()
        asked = badge.criteria_value
        with writing():
            if not db.session.get(Award, (people.volunteer.id, badge.id)):
                badge = next(each.badge for each in awards.of_person(people.volunteer.id))
                asked = badge.criteria_value
            badge.version, badge.criteria_value = 2, 40
            db.session.add(
                BadgeVersion(badge_id=badge.id, version=2, criteria_type=badge.criteria_type, criteria_value=40)
            )
    said = words(as_(people.admin).get(f"/people/{people.volunteer.id}").text)
    assert re.search(rf"Earned when it asked for {asked} camps?( in a row)?; today it asks for 40 camps", said)
    assert "Older definition" in said


def test_commands_enter_what_they_do(app: Flask, tmp_path: object, people: People) -> None:
    runner = app.test_cli_runner()
    with app.app_context():
        attend(people.volunteer, weekly(1), people.coordinator)
        with writing():
            db.session.execute(delete(Award))
    assert runner.invoke(args=["evaluate"]).exit_code == 0
    with app.app_context(), writing():
        db.session.execute(delete(Award))
    assert runner.invoke(args=["verify", "--repair"]).exit_code == 0
    given = "another horse\nanother horse\n"
    assert runner.invoke(args=["set-password", str(people.other.book_no)], input=given).exit_code == 0
    with app.app_context():
        evaluated = audit_search.entries(AuditFilter(action=Action.EVALUATED), limit=5)
        assert [(entry.device, entry.by_id) for entry in evaluated] == [("command line", None)] * 2
        for entry in evaluated:
            assert [award.person_id for award in audit_search.awards_of(entry, limit=5)] == [people.volunteer.id]
        (password,) = audit_search.entries(AuditFilter(action=Action.PASSWORD_SET), limit=5)
        assert password.person_id == people.other.id


def test_an_evaluation_that_only_names_another_camp_is_entered(
    app: Flask, client: FlaskClient, people: People, token: Callable[[Person], dict[str, str]]
) -> None:
    with app.app_context():
        first, second = weekly(2)
        attend(people.volunteer, [first, second], people.coordinator)
        with writing():
            db.session.execute(update(Award).values(camp_id=second.id))
    answer = client.post(f"/api/v1/users/{people.volunteer.id}/evaluate-badges", headers=token(people.coordinator))
    assert answer.json is not None
    assert answer.json["new_badges"] == []
    with app.app_context():
        assert db.session.scalars(select(Award.camp_id)).one() == first.id
        (entry,) = audit_search.entries(AuditFilter(action=Action.EVALUATED), limit=5)
        assert (entry.person_id, entry.facts) == (people.volunteer.id, {"moved_badges": 1})


def test_switching_off_is_entered_in_the_same_transaction(app: Flask, people: People) -> None:
    with app.app_context():
        before = len(audit_search.entries(limit=100))
        with pytest.raises(RuntimeError), writing():
            accounts.deactivate(db.session.merge(people.other))
            raise RuntimeError("nothing of it stands")
        assert len(audit_search.entries(limit=100)) == before
