"""The calendar's screens: a month, the list, one camp, a series, sites; with and without others."""

import re
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from uuid import UUID, uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from tests import factories
from tests.conftest import People
from tests.factories import attend, badge_names, weekly
from tests.views.conftest import HTMX, Camps
from tests.views.test_lists import queries_of
from webapp.database import db, writing
from webapp.domain.attendance import marking
from webapp.domain.camps import calendar as domain_camps
from webapp.domain.camps.calendar import Camp, Site
from webapp.domain.people.accounts import Person
from webapp.domain.schedule import schedule

As = Callable[[Person], FlaskClient]
TODAY = date(2026, 4, 12)
SHOWN = re.compile(r'name="shown" value="([0-9a-f]+)"')


@pytest.fixture
def admin(as_: As, people: People) -> FlaskClient:
    return as_(people.admin)


def text_of(page: str) -> str:
    """What is read on a page."""
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"(?s)<(script|head)\b.*?</\1>", " ", page)).split())


def number_of_camps(app: Flask) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(Camp)) or 0


def stored(app: Flask, camp_id: UUID) -> Camp:
    with app.app_context():
        return db.session.get_one(Camp, camp_id)


def confirmed(client: FlaskClient, path: str, data: Mapping[str, object]) -> str:
    """Sees what a change does, says yes, and arrives."""
    asked = client.post(path, data=data)
    assert asked.status_code == 200, asked.text
    shown = SHOWN.search(asked.text)
    assert shown
    for name, value in data.items():
        for each in value if isinstance(value, list) else [value]:
            assert f'name="{name}" value="{each}"' in asked.text
    done = client.post(path, data={**data, "shown": shown[1]})
    assert done.status_code == 303, done.text
    return text_of(client.get(done.location).text)


def camp_data(**facts: object) -> dict[str, object]:
    return {"name": "Camp", "camp_date": str(TODAY), "start_time": "09:00"} | facts


# --- a month, and the list -----------------------------------------------------------------------


def test_a_month_shows_what_was_and_what_comes(admin: FlaskClient, app: Flask, camps: Camps, people: People) -> None:
    with app.app_context():
        attend(people.other, [camps.past], people.coordinator)
        with writing():
            schedule.cancel_camp(camps.future)
    page = admin.get("/office/calendar").text
    read = text_of(page)
    assert "April 2026" in read
    assert "Past camp 09:00 · 1 of 1 present" in read
    assert "Sun 12 April 2026 12 today Camp of today 09:00 · 0 of 1 present" in read
    assert "<s>Next camp</s>" in page
    assert "Next camp 09:00 · cancelled" in read
    assert f'href="/office/camps/{camps.past.id}"' in page
    for address in re.findall(r'rel="(?:prev|next)" href="([^"]+)"', page):
        assert admin.get(address).status_code == 200
    assert "March 2026" in text_of(admin.get("/office/calendar?month=2026-03").text)
    assert "Past camp" not in admin.get("/office/calendar?month=2026-07").text


@pytest.mark.parametrize(
    "query", ["month=2026-13", "month=0000-01", "month=x", "month=2026-4", "site=x", f"site={UUID(int=1)}", "month=%00"]
)
def test_a_month_that_is_none_is_the_present_one(admin: FlaskClient, query: str) -> None:
    assert "April 2026" in text_of(admin.get(f"/office/calendar?{query}").text)


def test_the_calendar_ends_somewhere(admin: FlaskClient) -> None:
    assert 'rel="prev"' not in admin.get("/office/calendar?month=1900-01").text
    assert 'rel="next"' not in admin.get("/office/calendar?month=9998-12").text


def test_a_full_day_leads_to_its_list(admin: FlaskClient, app: Flask) -> None:
    with app.app_context():
        for number in range(8):
            factories.camp(0, f"Camp {number}")
        factories.camp(1, "Other day")
    page = admin.get("/office/calendar").text
    assert "2 more" in page
    day = admin.get(f"/office/camps/?day={TODAY}").text
    assert "Camp 7" in day
    assert "Other day" not in day


def test_the_list_is_searched_paged_and_bounded(admin: FlaskClient, app: Flask) -> None:
    with app.app_context(), writing():
        site = domain_camps.default_site()
        schedule.add_series(site, "Weekly", [TODAY + timedelta(weeks=number) for number in range(60)])
        schedule.add_camp(site, "Eye camp", TODAY)
    first = admin.get("/office/camps/").text
    assert "Page 1 of 2" in first
    assert "Eye camp" in admin.get("/office/camps/?page=2").text
    rows = admin.get("/office/camps/rows?q=EYE", headers=HTMX).text
    assert rows.strip() in admin.get("/office/camps/?q=EYE").text
    assert "Weekly" not in rows
    assert "No camp matches “xyz”" in text_of(admin.get("/office/camps/?q=xyz").text)
    for nonsense in ("page=0", "page=99999999999999999999", "page=x", "q=%00", "q=" + "x" * 5000, "day=x", "site=x"):
        assert admin.get(f"/office/camps/?{nonsense}").status_code == 200, nonsense


def test_no_page_asks_more_for_more_camps(app: Flask, admin: FlaskClient) -> None:
    pages = ["/office/calendar", "/office/camps/", "/office/sites/"]
    with app.app_context():
        factories.camp(0)
    few = [queries_of(app, lambda page=page: admin.get(page)) for page in pages]  # type: ignore[misc]
    with app.app_context():
        for number in range(10):
            factories.camp(0, f"Camp {number}")
            factories.camp(-1, f"Camp {number}")
    assert [queries_of(app, lambda page=page: admin.get(page)) for page in pages] == few  # type: ignore[misc]
    assert max(few) <= 12


def test_an_empty_calendar_says_what_to_do(admin: FlaskClient) -> None:
    assert "No camps in this month" in admin.get("/office/calendar").text
    assert "Add the first" in admin.get("/office/camps/").text
    assert "Calendar" in admin.get("/office/").text


# --- adding --------------------------------------------------------------------------------------


def test_a_coming_camp_is_added_at_once(admin: FlaskClient, app: Flask) -> None:
    form = admin.get("/office/camps/new").text
    assert 'value="09:00"' in form
    done = admin.post("/office/camps/new", data=camp_data(camp_date="2026-05-03", name=" Eye  camp "))
    assert done.location == "/office/calendar?month=2026-05"
    assert "Eye camp is on the calendar, Sun 3 May 2026" in text_of(admin.get(done.location).text)


def test_a_camp_of_the_past_is_shown_first_with_what_it_changes(admin: FlaskClient, app: Flask, people: People) -> None:
    with app.app_context():
        attend(people.volunteer, weekly(3), people.coordinator)
    data = camp_data(camp_date="2026-04-06")
    asked = admin.post("/office/camps/new", data=data).text
    assert "Nobody gains or loses a badge." in asked
    assert "The longest run gets shorter for 1 person." in asked
    assert number_of_camps(app) == 3
    assert "Camp is on the calendar" in confirmed(admin, "/office/camps/new", data)
    assert number_of_camps(app) == 4


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"name": " "}, "Please enter a name."),
        ({"name": "x" * 121}, "has 121 characters; at most 120 fit"),
        ({"camp_date": ""}, "Please choose a date."),
        ({"camp_date": "12/04/2026"}, "“12/04/2026” is not a date"),
        ({"camp_date": "2026-02-30"}, "is not a date of the calendar"),
        ({"camp_date": "0206-04-12"}, "is before 1900"),
        ({"camp_date": "2206-04-12"}, "slip of the pen"),
        ({"start_time": "25:00"}, "“25:00” is not a time"),
        ({"start_time": "09:00+05:30"}, "is not a time"),
        ({"name": "Camp of today"}, "Camp of today is on the calendar of that day already"),
        ({"name": "Past camp", "camp_date": "2026-04-05"}, "Past camp is on the calendar of that day already"),
    ],
)
def test_what_cannot_be_added_is_said_and_nothing_is_lost(
    admin: FlaskClient, app: Flask, camps: Camps, facts: dict[str, object], said: str
) -> None:
    response = admin.post("/office/camps/new", data=camp_data(start_time="08:15") | facts)
    assert response.status_code == 422
    assert said in text_of(response.text)
    kept = camp_data(start_time="08:15") | facts
    assert f'value="{kept["start_time"]}"' in response.text
    assert f'value="{kept["camp_date"]}"' in response.text
    assert number_of_camps(app) == 3


# --- one camp ------------------------------------------------------------------------------------


def test_a_camp_is_called_otherwise_at_once(admin: FlaskClient, app: Flask, camps: Camps) -> None:
    path = f"/office/camps/{camps.today.id}"
    assert 'value="Camp of today"' in admin.get(path).text
    done = admin.post(path, data=camp_data(name="Dental camp", start_time="10:30"), follow_redirects=True)
    assert "The changes are saved." in done.text
    assert (stored(app, camps.today.id).name, f"{stored(app, camps.today.id).start_time:%H:%M}") == (
        "Dental camp",
        "10:30",
    )


def test_a_page_opened_before_another_change_undoes_nothing_of_it(admin: FlaskClient, app: Flask, camps: Camps) -> None:
    path = f"/office/camps/{camps.today.id}"
    seen = {"seen_name": "Camp of today", "seen_camp_date": "2026-04-12", "seen_start_time": "09:00"}
    for name, value in seen.items():
        assert f'name="{name}" value="{value}"' in admin.get(path).text
    opened = seen | camp_data(name="Camp of today")
    confirmed(admin, path, opened | {"camp_date": "2026-04-20"})
    assert admin.post(path, data=opened | {"name": "Dental camp"}).status_code == 303  # a tab that was open already
    assert admin.post(path, data=opened | {"start_time": "10:30"}).status_code == 303
    found = stored(app, camps.today.id)
    assert (found.name, found.camp_date, f"{found.start_time:%H:%M}") == ("Dental camp", date(2026, 4, 20), "10:30")


def test_a_move_is_shown_first(admin: FlaskClient, app: Flask, camps: Camps) -> None:
    path, data = f"/office/camps/{camps.today.id}", camp_data(name="Camp of today", camp_date="2026-04-20")
    asked = text_of(admin.post(path, data=data).text)
    assert "Move Camp of today from Sun 12 April 2026 to Mon 20 April 2026?" in asked
    assert "1 person signed up. They stay on its list." in asked
    assert stored(app, camps.today.id).camp_date == TODAY
    assert "Mon 20 April 2026" in confirmed(admin, path, data)
    assert stored(app, camps.today.id).camp_date == date(2026, 4, 20)


def test_a_marked_camp_keeps_its_date(admin: FlaskClient, app: Flask, camps: Camps, people: People) -> None:
    with app.app_context():
        attend(people.volunteer, [camps.today], people.coordinator)
    path = f"/office/camps/{camps.today.id}"
    assert "1 person is marked at it, so its date stays." in text_of(admin.get(path).text)
    refused = admin.post(path, data=camp_data(name="Another", camp_date="2026-04-20"))
    assert refused.status_code == 422
    assert "1 person is marked at Camp of today, so its date stays" in text_of(refused.text)
    assert 'value="Another"' in refused.text
    assert stored(app, camps.today.id).name == "Camp of today"


def test_a_cancellation_says_whom_it_gives_what(admin: FlaskClient, app: Flask, people: People) -> None:
    with app.app_context():
        made = weekly(4)
        for person in (people.volunteer, people.other, people.coordinator):
            attend(person, [made[0], made[1], made[3]], people.admin)
        attend(people.admin, [made[2]], people.admin)
    path = f"/office/camps/{made[2].id}/cancel"
    asked = text_of(admin.post(path).text)
    assert "3 people gain On a Roll; nobody loses anything." in asked
    assert "Asha Rao, Imran Pasha, Ravi Gowda" in asked
    assert "Fewer camps are counted of 1 person." in asked
    assert "1 person is marked at it." in asked
    with app.app_context():
        assert "On a Roll" not in badge_names(people.volunteer)
    assert "is cancelled" in confirmed(admin, path, {})
    with app.app_context():
        assert "On a Roll" in badge_names(people.volunteer)
        assert "First Step" in badge_names(people.admin)
    again = admin.post(path)
    assert (again.status_code, "cancelled already" in again.text) == (409, True)
    back = f"/office/camps/{made[2].id}/reinstate"
    assert "More camps are counted of 1 person." in text_of(admin.post(back).text)
    assert "is on the calendar again" in confirmed(admin, back, {})
    assert admin.post(back).status_code == 409


def test_what_changed_since_it_was_shown_is_shown_again(admin: FlaskClient, app: Flask, people: People) -> None:
    with app.app_context():
        made = weekly(4)
        attend(people.volunteer, [made[0], made[1], made[3]], people.admin)
    path = f"/office/camps/{made[2].id}/cancel"
    shown = SHOWN.search(admin.post(path).text)
    assert shown
    with app.app_context():
        attend(people.other, [made[0], made[1], made[3]], people.admin)
    again = admin.post(path, data={"shown": shown[1]})
    assert again.status_code == 200
    assert "Something changed meanwhile" in again.text
    assert "2 people gain On a Roll" in again.text
    assert not stored(app, made[2].id).is_cancelled
    newer = SHOWN.search(again.text)
    assert newer
    assert admin.post(path, data={"shown": newer[1]}).status_code == 303
    assert stored(app, made[2].id).is_cancelled


def test_a_coordinator_and_a_volunteer_see_what_became_of_it(
    admin: FlaskClient, app: Flask, as_: As, camps: Camps, people: People
) -> None:
    with app.app_context(), writing():
        marking.sign_up(people.volunteer, camps.future)
    confirmed(admin, f"/office/camps/{camps.future.id}/cancel", {})
    confirmed(admin, f"/office/camps/{camps.today.id}", camp_data(name="Camp of today", camp_date="2026-04-14"))
    volunteer, coordinator = as_(people.volunteer), as_(people.coordinator)
    cabinet = text_of(volunteer.get("/cabinet").text)
    assert "Tue 14 April 2026 · 09:00 Camp of today" in cabinet
    assert "Next camp," not in cabinet
    assert "There is no camp today. The next one is Camp of today on Tue 14 April 2026." in text_of(
        coordinator.get("/roll-call/").text
    )
    page = coordinator.get(f"/roll-call/{camps.future.id}").text
    assert "This camp was cancelled" in page
    assert "/office/" not in page
    assert f"/office/camps/{camps.today.id}" in admin.get(f"/roll-call/{camps.today.id}").text


def test_no_camp_no_page(admin: FlaskClient) -> None:
    for path in ("", "/cancel", "/reinstate"):
        ask = admin.post if path else admin.get
        assert ask(f"/office/camps/{uuid4()}{path}").status_code == 404


# --- a series ------------------------------------------------------------------------------------

SECOND_SUNDAYS = {
    "name": "Camp",
    "camp_date": "2026-04-11",
    "start_time": "09:30",
    "interval": "2",
    "frequency": "weeks",
    "weekdays": ["6"],
    "place": "",
    "until": "2026-06-01",
    "count": "",
}


def test_a_series_shows_its_dates_before_anything_is_stored(admin: FlaskClient, app: Flask) -> None:
    with app.app_context(), writing():
        taken = schedule.add_camp(domain_camps.default_site(), "Camp", date(2026, 5, 10))
        schedule.cancel_camp(taken)
    page = admin.get("/office/camps/series/dates", query_string=SECOND_SUNDAYS).text
    assert re.findall(r'name="date" value="([^"]+)" checked', page) == ["2026-04-12", "2026-04-26", "2026-05-24"]
    assert "Sun 10 May 2026 there already, cancelled" in text_of(page)
    assert number_of_camps(app) == 1
    done = admin.post("/office/camps/series/", data=SECOND_SUNDAYS | {"date": ["2026-04-12", "2026-05-24"]})
    assert done.location == "/office/calendar?month=2026-04"
    assert "2 camps added." in text_of(admin.get(done.location).text)
    assert number_of_camps(app) == 3
    again = admin.post("/office/camps/series/", data=SECOND_SUNDAYS | {"date": ["2026-04-12", "2026-04-26"]})
    assert "1 camp added. 1 was there already." in text_of(admin.get(again.location).text)


def test_a_series_into_the_past_is_shown_first(admin: FlaskClient, app: Flask, people: People) -> None:
    with app.app_context():
        attend(people.volunteer, weekly(3), people.coordinator)
    data = SECOND_SUNDAYS | {"name": "Midweek", "date": ["2026-04-01", "2026-04-08", "2026-04-15"]}
    asked = text_of(admin.post("/office/camps/series/", data=data).text)
    assert "Add 3 camps called Midweek?" in asked
    assert "2 of them are in the past." in asked
    assert "The longest run gets shorter for 1 person." in asked
    assert number_of_camps(app) == 3
    page = admin.post("/office/camps/series/", data=data).text
    back = re.search(r'href="(/office/camps/series/dates[^"]+)"', page)
    assert back
    confirmed(admin, "/office/camps/series/", data)
    assert number_of_camps(app) == 6


def test_what_was_unticked_stays_so_on_the_way_back(admin: FlaskClient) -> None:
    query = SECOND_SUNDAYS | {"date": ["2026-04-26"]}
    page = admin.get("/office/camps/series/dates", query_string=query).text
    assert re.findall(r'name="date" value="([^"]+)" checked', page) == ["2026-04-26"]


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"until": ""}, "Say when the series ends"),
        ({"until": "2026-04-11"}, "No date fits"),
        ({"until": "June"}, "“June” is not a date"),
        ({"interval": "0"}, "a number from 1 to 52"),
        ({"interval": "two"}, "“two” is not a whole number"),
        ({"count": "201"}, "from 1 to 200 camps"),
        ({"count": "-1"}, "is not a whole number"),
        ({"interval": "1", "frequency": "days", "weekdays": [], "until": "2036-01-01"}, "more than 200 camps"),
        ({"frequency": "months", "weekdays": [], "place": "1"}, "Tick the weekday"),
        ({"name": "\x01"}, "cannot be shown"),
        ({"frequency": "centuries"}, "Not a valid choice"),
        ({"weekdays": ["9"]}, "is not a valid choice"),
        ({"place": "7"}, "Not a valid choice"),
    ],
)
def test_a_rule_that_gives_no_dates_is_kept_as_typed(admin: FlaskClient, facts: dict[str, object], said: str) -> None:
    page = admin.get("/office/camps/series/dates", query_string=SECOND_SUNDAYS | facts)
    assert page.status_code == 422
    assert said in text_of(page.text)
    assert 'value="09:30"' in page.text
    assert admin.post("/office/camps/series/", data=SECOND_SUNDAYS | facts).status_code == 422


@pytest.mark.parametrize(("dates", "said"), [([], "No date is ticked"), (["soon"], "“soon” is not a date")])
def test_a_series_of_no_dates_is_refused(admin: FlaskClient, app: Flask, dates: list[str], said: str) -> None:
    refused = admin.post("/office/camps/series/", data=SECOND_SUNDAYS | {"date": dates})
    assert refused.status_code == 422
    assert said in text_of(refused.text)
    assert "Sun 26 April 2026" in refused.text
    assert number_of_camps(app) == 0


# --- sites ---------------------------------------------------------------------------------------


def test_with_one_site_nobody_reads_the_word(admin: FlaskClient, app: Flask, camps: Camps, people: People) -> None:
    with app.app_context():
        site_id = domain_camps.default_site().id
    for path in (
        "/office/",
        "/office/calendar",
        "/office/camps/",
        "/office/camps/new",
        f"/office/camps/{camps.today.id}",
        "/office/camps/series/",
        "/office/sites/",
        "/office/sites/new",
        f"/office/sites/{site_id}",
        "/roll-call/camps",
    ):
        page = admin.get(path).text
        values = " ".join(re.findall(r' value="([^"]*)"', page))
        assert not re.search(r"\bsites?\b", text_of(page) + values, re.IGNORECASE), path
    assert "Add another place" in admin.get("/office/calendar").text


def test_a_second_site_brings_choices(admin: FlaskClient, app: Flask, camps: Camps) -> None:
    page = admin.get("/office/sites/new").text
    assert '<option selected value="Asia/Kolkata">' in page
    assert '<optgroup label="America">' in page
    done = admin.post(
        "/office/sites/new", data={"name": "Harlem", "time_zone": "America/New_York"}, follow_redirects=True
    )
    assert "Harlem America/New York · 0 camps" in text_of(done.text)
    with app.app_context():
        harlem = next(site for site in domain_camps.sites() if site.name == "Harlem")
    for path in ("/office/camps/new", "/office/camps/series/", "/office/calendar", "/office/camps/"):
        assert f'<option value="{harlem.id}">Harlem' in admin.get(path).text, path
    data = camp_data(site=str(harlem.id), name="Clinic", camp_date="2026-04-13")
    assert admin.post("/office/camps/new", data=data).status_code == 303
    month = text_of(admin.get("/office/calendar").text)
    assert "Clinic 09:00 · Harlem · 0 expected" in month
    only = text_of(admin.get(f"/office/calendar?site={harlem.id}").text)
    assert "Camp of today" not in only
    assert "Clinic 09:00 · 0 expected" in only
    assert "Past camp" not in admin.get(f"/office/camps/?site={harlem.id}").text
    dates = admin.get("/office/camps/series/dates", query_string=SECOND_SUNDAYS | {"site": str(harlem.id)})
    assert "09:30, Harlem" in text_of(dates.text)
    nowhere = admin.post("/office/camps/new", data=camp_data(site=str(uuid4())))
    assert (nowhere.status_code, "Not a valid choice" in nowhere.text) == (422, True)


def test_a_camp_is_past_by_the_clock_of_its_site(admin: FlaskClient, app: Flask, camps: Camps) -> None:
    """It is Sunday 11:30 in Kolkata, and in Pago Pago Saturday."""
    with app.app_context():
        pago = factories.site("Pago Pago", "Pacific/Pago_Pago")
    today_there = camp_data(site=str(pago.id), camp_date="2026-04-11")
    assert admin.post("/office/camps/new", data=today_there).status_code == 303
    with app.app_context():
        kolkata = domain_camps.default_site()
    past_here = admin.post("/office/camps/new", data=camp_data(site=str(kolkata.id), camp_date="2026-04-11"))
    assert past_here.status_code == 200
    assert "It is in the past" in past_here.text


def test_a_site_is_changed_and_never_deleted(admin: FlaskClient, app: Flask, camps: Camps) -> None:
    with app.app_context():
        north = factories.site("North")
        factories.camp(0, at=north)
    path = f"/office/sites/{north.id}"
    assert 'value="North"' in admin.get(path).text
    done = admin.post(path, data={"name": "Harlem", "time_zone": "America/New_York"}, follow_redirects=True)
    assert "Saved. There it is 02:00 now." in text_of(done.text)
    for data, said in (
        ({"name": "main  Site", "time_zone": "Asia/Kolkata"}, "There is a place called Main site already"),
        ({"name": " ", "time_zone": "Asia/Kolkata"}, "Please enter a name"),
        ({"name": "Harlem", "time_zone": "Mars/Olympus"}, "“Mars/Olympus” is not a time zone"),
        ({"name": "Harlem"}, "is not a time zone"),
    ):
        refused = admin.post(path, data=data)
        assert (refused.status_code, said in text_of(refused.text)) == (422, True), data
        assert admin.post("/office/sites/new", data=data).status_code == 422
    opened = {"seen_name": "Harlem", "seen_time_zone": "America/New_York"}  # by somebody else, before both changes
    for data in ({"name": "Bronx", "time_zone": "America/New_York"}, {"name": "Harlem", "time_zone": "Europe/Paris"}):
        assert all(f'name="{name}"' in admin.get(path).text for name in opened)
        assert admin.post(path, data=opened | data).status_code == 303
    with app.app_context():
        changed = db.session.get_one(Site, north.id)
        assert (changed.name, changed.time_zone) == ("Bronx", "Europe/Paris")
    assert admin.delete(path).status_code == 405
    assert admin.get(f"/office/sites/{uuid4()}").status_code == 404


def test_the_only_site_has_a_time_zone_alone(admin: FlaskClient, app: Flask) -> None:
    with app.app_context():
        site_id = domain_camps.default_site().id
    done = admin.post(f"/office/sites/{site_id}", data={"time_zone": "Europe/Lisbon"}, follow_redirects=True)
    assert "Saved." in done.text
    with app.app_context():
        site = domain_camps.default_site()
        assert (site.name, site.time_zone) == ("Main site", "Europe/Lisbon")
