"""What changes of the calendar do, and that they say so beforehand."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from tests import factories
from tests.conftest import SUNDAY, People
from tests.factories import attend, badge_names, weekly
from webapp import clock
from webapp.database import db, trying, writing
from webapp.domain.attendance import marking, roll_call, timeline
from webapp.domain.audit import Action, Effect, Entry, EntryAward
from webapp.domain.badges import history
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import Camp, Site, Status
from webapp.domain.errors import ConflictError, InvalidError
from webapp.domain.evaluation import bulk, verify
from webapp.domain.models.attendance import Attendance, State
from webapp.domain.models.badge import Award
from webapp.domain.schedule import schedule
from webapp.domain.schedule.schedule import Effects, Gain

TODAY = date(2026, 4, 12)
NINE = time(9, 0)


def weighed(camp: Camp, change: Callable[[UUID], object]) -> Effects:
    """What a change would do, tried."""
    with trying():
        return schedule.weigh(camp.site, camp.camp_date, change)
    raise AssertionError


def entries(action: Action) -> list[Entry]:
    return list(db.session.scalars(select(Entry).where(Entry.action == action)))


def agrees() -> bool:
    """Whether all that is kept is what a recomputation gives."""
    db.session.remove()
    return list(verify.differences()) == []


@pytest.fixture
def gap(people: People) -> list[Camp]:
    """Four weekly camps; three volunteers missed the third."""
    made = weekly(4)
    for person in (people.volunteer, people.other, people.coordinator):
        attend(person, [made[0], made[1], made[3]], people.admin)
    return made


def test_what_a_cancellation_changes_is_known_before_and_nothing_is_changed(people: People, gap: list[Camp]) -> None:
    effects = weighed(gap[2], lambda entry_id: schedule.cancel_camp(gap[2], entry_id=entry_id))
    names = ["Asha Rao", "Imran Pasha", "Ravi Gowda"]
    assert effects == Effects([Gain("On a Roll", Effect.NEW, 3, names)], longer_runs=3)
    assert not gap[2].is_cancelled
    assert "On a Roll" not in badge_names(people.volunteer)
    assert entries(Action.CAMP_CANCELLED) == []
    with writing():
        again = schedule.weigh(gap[2].site, gap[2].camp_date, lambda each: schedule.cancel_camp(gap[2], entry_id=each))
    assert again.digest == effects.digest
    assert "On a Roll" in badge_names(people.volunteer)
    followed = db.session.scalars(select(EntryAward)).all()
    (entry,) = entries(Action.CAMP_CANCELLED)
    assert len([each for each in followed if each.entry_id == entry.id]) == 3
    assert agrees()


def test_the_camps_of_the_marked_count_no_more_and_badges_stay(people: People) -> None:
    made = weekly(3)
    attend(people.volunteer, made, people.admin)
    effects = weighed(made[1], lambda entry_id: schedule.cancel_camp(made[1], entry_id=entry_id))
    assert effects == Effects([], fewer_visits=1, shorter_runs=1)
    with writing():
        schedule.cancel_camp(made[1])
    assert "On a Roll" in badge_names(people.volunteer)
    back = weighed(made[1], lambda entry_id: schedule.reinstate_camp(made[1], entry_id=entry_id))
    assert back == Effects([], more_visits=1, longer_runs=1)
    assert agrees()


def test_a_badge_that_was_taken_comes_back_with_a_cancellation(people: People) -> None:
    made = weekly(4)
    attend(people.volunteer, made, people.admin)
    with writing():
        marking.undo(people.volunteer, made[3], by=people.admin)
    with writing():
        marking.mark_absent(people.volunteer, made[1], by=people.admin)
    with writing():
        marking.mark_present(people.volunteer, made[3], by=people.admin)
    assert "On a Roll" not in badge_names(people.volunteer)
    effects = weighed(made[1], lambda entry_id: schedule.cancel_camp(made[1], entry_id=entry_id))
    assert effects.gains == [Gain("On a Roll", Effect.RETURNED, 1, ["Asha Rao"])]


def test_ten_are_named_and_all_are_counted(people: People) -> None:
    made = weekly(4)
    for number in range(12):
        attend(factories.person(f"Person {number:02}"), [made[0], made[1], made[3]], people.admin)
    (gain,) = weighed(made[2], lambda entry_id: schedule.cancel_camp(made[2], entry_id=entry_id)).gains
    assert gain.people == 12
    assert gain.names == [f"Person {number:02}" for number in range(10)]


def test_who_is_marked_meanwhile_makes_another_effect(people: People, gap: list[Camp]) -> None:
    before = weighed(gap[2], lambda entry_id: schedule.cancel_camp(gap[2], entry_id=entry_id))
    attend(people.admin, [gap[0], gap[1], gap[3]], people.admin)
    after = weighed(gap[2], lambda entry_id: schedule.cancel_camp(gap[2], entry_id=entry_id))
    assert before.digest != after.digest


def test_a_forgotten_camp_shortens_runs_and_takes_no_badge(people: People) -> None:
    made = weekly(3)
    attend(people.volunteer, made, people.admin)
    site, day = made[0].site, made[0].camp_date + timedelta(days=1)
    with trying():
        effects = schedule.weigh(site, day, lambda each: schedule.add_camp(site, "Forgotten", day, entry_id=each))
    assert effects == Effects([], shorter_runs=1)
    assert db.session.scalar(select(func.count()).select_from(Camp)) == 3
    with writing():
        schedule.add_camp(site, "Forgotten", day)
    assert "On a Roll" in badge_names(people.volunteer)
    assert agrees()


def test_what_is_to_come_changes_nothing_but_is_told(people: People) -> None:
    coming = factories.camp(-1)
    with writing():
        marking.sign_up(people.volunteer, coming)
    before = timeline.stamp_of(people.volunteer.id)
    with clock.stopped_at(SUNDAY + timedelta(minutes=1)), writing():
        assert schedule.weigh(coming.site, coming.camp_date, lambda _: schedule.cancel_camp(coming)) == Effects()
    assert timeline.stamp_of(people.volunteer.id) != before  # so that their open page is drawn anew
    assert timeline.coming_days(people.volunteer.id, TODAY) == []


# --- a series ------------------------------------------------------------------------------------


def test_a_series_evaluates_once_and_leaves_out_what_is_there(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    made = weekly(3)
    attend(people.volunteer, made, people.admin)
    announced = factories.camp(-1)
    with writing():
        schedule.cancel_camp(announced)
    evaluated = []
    evaluate = bulk.evaluate

    def counted(*args: Any, **kwargs: Any) -> bulk.Evaluated:
        evaluated.append(args)
        return evaluate(*args, **kwargs)

    monkeypatch.setattr(bulk, "evaluate", counted)
    wanted = [TODAY + timedelta(days=number) for number in (-10, -7, -4, 0, 1, 7, 8)]
    with writing():
        added = schedule.add_series(made[0].site, " Camp ", wanted, time(16, 30))
    assert [camp.camp_date for camp in added] == [TODAY + timedelta(days=number) for number in (-10, -4, 1, 8)]
    assert {camp.start_time for camp in added} == {time(16, 30)}
    assert len(evaluated) == 1
    notes = [entry for entry in entries(Action.CAMP_ADDED) if entry.facts.get("of_series") == 4]
    assert {note.camp_id for note in notes} == {camp.id for camp in added}
    assert history.of_person(people.volunteer.id).longest_streak == 1
    assert "On a Roll" in badge_names(people.volunteer)
    with writing():
        assert schedule.add_series(made[0].site, "Camp", wanted, time(16, 30)) == []
    assert agrees()


def test_a_series_keeps_its_local_time_through_daylight_saving() -> None:
    site = factories.site("Harlem", "America/New_York")
    with writing():
        winter, summer = schedule.add_series(site, "Clinic", [date(2026, 3, 7), date(2026, 3, 8)])
        missing_hour = schedule.add_camp(site, "At night", date(2026, 3, 8), time(2, 30))
    assert winter.starts_at == datetime(2026, 3, 7, 14, 0, tzinfo=UTC)
    assert summer.starts_at == datetime(2026, 3, 8, 13, 0, tzinfo=UTC)
    assert missing_hour.starts_at == datetime(2026, 3, 8, 7, 30, tzinfo=UTC)


def test_each_site_has_a_today_of_its_own(people: People) -> None:
    """At 23:00 UTC it is Sunday in New York and Monday in Kolkata."""
    kolkata, harlem = calendar.default_site(), factories.site("Harlem", "America/New_York")
    monday = TODAY + timedelta(days=1)
    with clock.stopped_at(datetime(2026, 4, 12, 23, 0, tzinfo=UTC)):
        with writing():
            here, there = (schedule.add_camp(site, "Camp", monday) for site in (kolkata, harlem))
        assert (here.is_today, there.is_held) == (True, False)
        attend(people.volunteer, [here], people.admin)
        with pytest.raises(ConflictError, match="has not been held yet"):
            attend(people.volunteer, [there], people.admin)
        with writing():
            effects = schedule.weigh(harlem, monday, lambda each: schedule.cancel_camp(there, entry_id=each))
        assert effects == Effects()
        assert badge_names(people.volunteer) == ["First Step"]


@pytest.mark.parametrize(
    ("dates", "name", "said"),
    [
        ([], "Camp", "No date is ticked"),
        ([TODAY + timedelta(days=number) for number in range(201)], "Camp", "at most 200"),
        ([TODAY], "  ", "needs a name"),
        ([date(2206, 4, 12)], "Camp", "slip of the pen"),
    ],
)
def test_a_series_that_cannot_be(dates: list[date], name: str, said: str) -> None:
    with pytest.raises(InvalidError, match=said), writing():
        schedule.add_series(calendar.default_site(), name, dates)
    assert db.session.scalar(select(func.count()).select_from(Camp)) == 0


# --- a change of one camp ------------------------------------------------------------------------


def change(camp: Camp, **facts: object) -> dict[str, dict[str, object]]:
    wanted = {"name": camp.name, "camp_date": camp.camp_date, "start_time": camp.start_time} | facts
    with writing():
        return schedule.change_camp(camp, **wanted)  # type: ignore[arg-type]


def test_a_move_takes_the_sign_ups_along(people: People) -> None:
    coming = factories.camp(-1)
    with writing():
        marking.sign_up(people.volunteer, coming)
        marking.say_not_coming(people.other, coming)
    later = coming.camp_date + timedelta(days=3)
    before = factories.row_of(coming, people.volunteer).attendance
    assert change(coming, camp_date=later, start_time=time(10, 0)) == {
        "before": {"camp_date": TODAY + timedelta(days=7), "start_time": "09:00"},
        "after": {"camp_date": later, "start_time": "10:00"},
    }
    assert before not in db.session  # its key is no row's any more
    stored = db.session.scalars(select(Attendance)).all()
    assert {each.camp_date for each in stored} == {later}
    assert {row.person.name: row.state for row in roll_call.roll(db.session.get_one(Camp, coming.id))} == {
        "Asha Rao": State.EXPECTED,
        "Imran Pasha": State.EXCUSED,
    }
    (entry,) = entries(Action.CAMP_CHANGED)
    assert entry.camp_id == coming.id
    assert entry.facts["after"] == {"camp_date": str(later), "start_time": "10:00"}


def test_a_move_changes_runs_on_both_dates(people: People, gap: list[Camp]) -> None:
    """Moved out from between the visits it breaks no run any more, moved back it does."""
    later = TODAY + timedelta(days=1)
    effects = weighed(gap[2], lambda each: schedule.change_camp(gap[2], "Camp", later, NINE, entry_id=each))
    assert [(gain.badge, gain.people) for gain in effects.gains] == [("On a Roll", 3)]
    original = gap[2].camp_date
    change(gap[2], camp_date=later)
    assert history.of_person(people.volunteer.id).longest_streak == 3
    change(gap[2], camp_date=original)
    assert history.of_person(people.volunteer.id).longest_streak == 2
    assert "On a Roll" in badge_names(people.volunteer)
    assert agrees()


def test_a_date_stays_once_somebody_is_marked(people: People) -> None:
    (today,) = weekly(1)
    attend(people.volunteer, [today], people.admin)
    with pytest.raises(ConflictError, match="1 person is marked at Camp, so its date stays"):
        change(today, camp_date=TODAY - timedelta(days=1))
    assert today.camp_date == TODAY
    assert change(today, name="Camp in the school")["after"] == {"name": "Camp in the school"}
    with writing():
        marking.undo(people.volunteer, today, by=people.admin)
    assert change(today, camp_date=TODAY - timedelta(days=1))


def test_a_date_stays_once_the_roll_call_is_closed(people: People) -> None:
    (today,) = weekly(1)
    with writing():
        roll_call.close(today, by=people.admin)
    with pytest.raises(ConflictError, match="Open it again to move it"):
        change(today, camp_date=TODAY + timedelta(days=1))


def test_an_earlier_start_may_make_another_camp_of_the_day_the_one_that_completed(people: People) -> None:
    first, second = factories.camp(0, "First"), factories.camp(0, "Second")
    change(second, start_time=time(14, 0))
    attend(people.volunteer, [first, second], people.admin)
    change(second, start_time=time(8, 0))
    award = db.session.scalars(select(Award).execution_options(populate_existing=True)).one()
    assert award.camp_id == second.id
    assert agrees()


def test_two_camps_of_one_name_on_one_day_are_refused_in_words(people: People) -> None:
    first, second = factories.camp(0, "Camp"), factories.camp(0, "Other")
    with pytest.raises(ConflictError, match="Camp is on the calendar of that day already"):
        change(second, name="camp")
    assert second.name == "Other"
    with writing():
        schedule.cancel_camp(first)
    with pytest.raises(ConflictError, match="already, cancelled; reinstate that one"):
        factories.camp(0, "CAMP")
    north = factories.site("North")
    assert factories.camp(0, "Camp", north).site_id == north.id


def test_nothing_changed_is_nothing_noted(people: People) -> None:
    (today,) = weekly(1)
    assert change(today) == {}
    assert entries(Action.CAMP_CHANGED) == []


# --- sites ---------------------------------------------------------------------------------------


def test_a_site_is_added_and_changed_on_the_record() -> None:
    with writing():
        site = schedule.add_site(" North  hall ", "America/New_York")
    with writing():
        schedule.change_site(site, "Harlem", "America/New_York")
    with writing():
        schedule.change_site(site, "Harlem", "America/New_York")
    assert (site.name, site.today) == ("Harlem", TODAY)
    (added,), (changed,) = entries(Action.SITE_ADDED), entries(Action.SITE_CHANGED)
    assert added.facts == {"site_id": str(site.id), "name": "North hall", "time_zone": "America/New_York"}
    assert changed.facts == {
        "site_id": str(site.id),
        "before": {"name": "North hall"},
        "after": {"name": "Harlem"},
    }


@pytest.mark.parametrize(
    "zone", ["Asia/Bangalore", "asia/kolkata", "../etc/passwd", "localtime", "", "UTC+5", "x" * 200]
)
def test_a_time_zone_that_is_none_is_refused(zone: str) -> None:
    with pytest.raises(InvalidError, match="is not a time zone such as Asia/Kolkata"), writing():
        schedule.add_site("North", zone)


@pytest.mark.parametrize("name", ["École", "école", " ÉCOLE "])
def test_the_name_of_another_site_is_refused_in_whatever_capitals(name: str) -> None:
    site = factories.site("École")
    with pytest.raises(ConflictError, match="There is a place called École already"), writing():
        schedule.add_site(name, "Asia/Kolkata")
    with pytest.raises(ConflictError, match="There is a place called École already"), writing():
        schedule.change_site(calendar.default_site(), name, "Asia/Kolkata")
    assert [each.name for each in calendar.sites()] == ["Main site", "École"]
    with writing():
        schedule.change_site(site, name, "Asia/Kolkata")
    assert site.name == name.strip()


def test_a_time_zone_is_not_changed_under_the_marks_of_today(people: People) -> None:
    """At 20:00 UTC it is Monday in Kolkata, and still Sunday in New York."""
    site = calendar.default_site()
    with clock.stopped_at(datetime(2026, 4, 12, 20, 0, tzinfo=UTC)):
        today = factories.camp(0)
        attend(people.volunteer, [today], people.admin)
        with pytest.raises(ConflictError, match="it is not yet 2026-04-13"), writing():
            schedule.change_site(site, site.name, "America/New_York")
        db.session.refresh(site)
        assert site.time_zone == "Asia/Kolkata"
        with writing():
            schedule.change_site(site, site.name, "Asia/Tokyo")
        assert agrees()


def test_a_time_zone_in_which_it_is_tomorrow_already_holds_more_camps(people: People) -> None:
    with clock.stopped_at(datetime(2026, 4, 12, 20, 0, tzinfo=UTC)):
        site = factories.site("Harlem", "America/New_York")
        tomorrow = factories.camp(-1, "Camp", site, on=TODAY + timedelta(days=1))
        assert not tomorrow.is_held
        with writing():
            schedule.change_site(site, "Harlem", "Asia/Kolkata")
        assert tomorrow.is_held
        assert agrees()


def test_the_first_site_is_no_choice_while_it_is_unused() -> None:
    first = calendar.default_site()
    assert [site.name for site in calendar.places()] == ["Main site"]
    north = factories.site("North")
    assert [site.name for site in calendar.places()] == ["North"]
    factories.camp(0, at=north)
    assert [site.name for site in calendar.places()] == ["North"]
    factories.camp(0, at=first)
    assert [site.name for site in calendar.places()] == ["Main site", "North"]


# --- how it is read ------------------------------------------------------------------------------


def test_a_day_shows_its_first_camps_and_counts_all(people: People) -> None:
    with writing():
        for hour in range(8, 16):
            schedule.add_camp(calendar.default_site(), f"Camp at {hour}", TODAY, time(hour, 0))
    (day,) = schedule.days(TODAY, TODAY, most=3).values()
    assert [camp.name for camp in day.camps] == ["Camp at 8", "Camp at 9", "Camp at 10"]
    assert day.number == 8
    assert schedule.days(TODAY, TODAY, factories.site("North"), most=3) == {}


def test_camps_are_found_by_words_of_their_name(people: People) -> None:
    for name in ("Eye camp, Hoskote", "Dental camp, Hoskote", "100% eye_camp"):
        factories.camp(0, name)

    def names(query: str, site: Site | None = None, day: date | None = None) -> list[str]:
        return [camp.name for camp in db.session.scalars(schedule.find(query, site, day))]

    assert names("HOSK eye") == ["Eye camp, Hoskote"]
    assert names("100%") == ["100% eye_camp"]
    assert names("e_c") == ["100% eye_camp"]
    assert len(names("", calendar.default_site(), TODAY)) == 3
    assert names("", day=TODAY + timedelta(days=1)) == []
    assert names("", factories.site("North")) == []


def test_status_of_dates_that_are_taken(people: People) -> None:
    site = calendar.default_site()
    cancelled, other = factories.camp(0), factories.camp(1)
    with writing():
        schedule.cancel_camp(cancelled)
    dates = [TODAY, other.camp_date, TODAY + timedelta(days=1)]
    assert schedule.taken(site, "CAMP", dates) == {TODAY: Status.CANCELLED, other.camp_date: Status.SCHEDULED}
