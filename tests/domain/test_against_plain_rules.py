"""Random marks, undos, excuses, new and cancelled camps, held against the plain rules after each step."""

from datetime import date, timedelta
from typing import Any

import pytest
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, update

from tests import factories
from tests.domain import plain
from tests.domain.plain import BADGES, PlainBadge, PlainCamp
from webapp.database import db, writing
from webapp.domain import attendance, backfills, badges, calendar, camps, definitions, histories, settling, standings
from webapp.domain.accounts import Person, Role
from webapp.domain.badges import Award, Badge, Definition, Revocation
from webapp.domain.camps import Camp
from webapp.domain.errors import ConflictError
from webapp.domain.jobs import Job
from webapp.domain.records import Attendance, CampRole
from webapp.domain.standings import Standing

VERBS = (
    "present",
    "present",
    "present",
    "present",
    "doctor",
    "excuse",
    "absent",
    "undo",
    "sign up",
    "new camp",
    "cancel",
    "ask",
    "retire",
)
ASKED = [("visits", 1), ("visits", 2), ("visits", 4), ("consecutive_visits", 2), ("consecutive_visits", 3)]
CHANGING = ["Certified Volunteer", "On a Roll"]  # both can be reached in a short life
steps = st.lists(
    st.tuples(st.sampled_from(VERBS), st.integers(0, 1), st.integers(0, 30), st.integers(-1, 9), st.booleans()),
    min_size=5,
    max_size=40,
)


class World:
    """The product and the plain rules side by side, with what should be held by each person."""

    def __init__(self) -> None:
        with writing():
            for table in (Revocation, Award, Attendance, Camp, Standing, Job, Person, standings.tally):
                db.session.execute(delete(table))
            db.session.execute(delete(Definition).where(Definition.version > 1))
            for name, criteria, value in BADGES:
                asked = {"criteria_type": criteria, "criteria_value": value, "version": 1, "is_active": True}
                db.session.execute(update(Badge).where(Badge.name == name).values(asked))
        db.session.expunge_all()
        self.ids = {badge.name: badge.id for badge in badges.all_definitions()}
        self.badges = {name: PlainBadge(criteria, value) for name, criteria, value in BADGES}
        self.today = camps.default_site().today
        self.sites = {site.name: site for site in camps.sites()}
        for name in {"North", "South"} - self.sites.keys():
            self.sites[name] = factories.site(name)
        self.by = factories.person("Ravi Gowda", role=Role.COORDINATOR)
        self.people = [factories.person("Asha Rao"), factories.person("Imran Pasha")]
        self.camps: list[tuple[Camp, PlainCamp]] = []
        for weeks_ago in range(5):
            self.add_camp(weeks_ago, "North")

    @property
    def plain_camps(self) -> list[PlainCamp]:
        return [plain_camp for _, plain_camp in self.camps]

    def add_camp(self, weeks_ago: int, site: str) -> None:
        day = self.today - timedelta(weeks=weeks_ago)
        camp = factories.camp(name=f"Camp {len(self.camps)}", at=self.sites[site], on=day)
        self.camps.append((camp, PlainCamp(site, day)))

    def reached(self, who: str) -> dict[str, int]:
        return plain.amounts(self.plain_camps, who, self.today)

    def settle(self, who: str, before: dict[str, int] | None = None) -> None:
        for badge in self.badges.values():
            badge.settle(who, self.reached(who), before)

    def define(self, verb: str, which: int, also: int) -> None:
        """Let a badge ask for something else, or retire it, or put it back; with the backfill."""
        name = CHANGING[which % len(CHANGING)]
        badge, plain_badge = factories.named(name), self.badges[name]
        if verb == "ask":
            plain_badge.criteria, plain_badge.value = ASKED[also % len(ASKED)]
            factories.change(badge, criteria_type=plain_badge.criteria, criteria_value=plain_badge.value)
        else:
            plain_badge.active = not plain_badge.active
            with writing():
                (definitions.reinstate if plain_badge.active else definitions.retire)(badge)
        with writing():
            job = backfills.add(badge, by=self.by)
            while backfills.batch(job):
                pass
        for each in self.people:
            self.settle(each.name)

    def step(self, verb: str, whose: int, which: int, weeks_ago: int, north: bool) -> None:
        camp, plain_camp = self.camps[which % len(self.camps)]
        person = self.people[whose]
        if verb in ("ask", "retire"):
            self.define(verb, which, weeks_ago)
            return
        if verb == "new camp":
            self.add_camp(weeks_ago, "North" if north else "South")
            return
        if verb == "cancel":
            # Called off, or put back: badges may come, none may go.
            plain_camp.cancelled = not plain_camp.cancelled
            with writing():
                (calendar.cancel_camp if plain_camp.cancelled else calendar.reinstate_camp)(camp)
            for each in self.people:
                if any(each.name in other.states for other in self.plain_camps if other.site == plain_camp.site):
                    self.settle(each.name)
            return
        before = self.reached(person.name)
        old = dict(plain_camp.states)
        allowed = self.change(plain_camp, person.name, verb)
        try:
            with writing():
                self.call(verb, person, camp)
        except ConflictError:
            assert not allowed
            plain_camp.states = old
            return
        assert allowed
        if verb != "sign up" and plain_camp.states != old:
            self.settle(person.name, before)

    def change(self, camp: PlainCamp, who: str, verb: str) -> bool:
        """Do to the plain camp what the verb says; whether the contract allows it."""
        state = camp.states.get(who)
        if verb == "sign up":
            if camp.cancelled:
                return False
            camp.signed_up.add(who)
            camp.states.setdefault(who, ("expected", "volunteer"))
            return True
        role = state[1] if state else "volunteer"
        if verb == "undo":
            if who in camp.signed_up:
                camp.states[who] = ("expected", "volunteer")
            else:
                camp.states.pop(who, None)
        elif verb == "doctor":
            camp.states[who] = ("present", "doctor")
        elif verb == "present":
            camp.states[who] = ("present", "volunteer")
        else:
            camp.states[who] = ({"excuse": "excused", "absent": "absent"}[verb], role)
        return not camp.cancelled and camp.day <= self.today

    def call(self, verb: str, person: Person, camp: Camp) -> Any:
        match verb:
            case "present":
                return attendance.mark_present(person, camp, by=self.by, camp_role=CampRole.VOLUNTEER)
            case "doctor":
                return attendance.mark_present(person, camp, by=self.by, camp_role=CampRole.DOCTOR)
            case "excuse":
                return attendance.excuse(person, camp, by=self.by)
            case "absent":
                return attendance.mark_absent(person, camp, by=self.by)
            case "undo":
                return attendance.undo(person, camp, by=self.by)
        return attendance.sign_up(person, camp)

    def check(self) -> None:
        for person in self.people:
            history = histories.history_of(person.id)
            assert len(history.visits) == plain.visits(self.plain_camps, person.name, self.today)
            assert (history.longest_streak, history.current_streak) == plain.runs(
                self.plain_camps, person.name, self.today
            )
            held = {name for name, badge in self.badges.items() if person.name in badge.held_by}
            assert factories.held(person) == held
            assert {badge_id: tuple(asked) for badge_id, asked in badges.older_of(person.id).items()} == {
                self.ids[name]: badge.asked_of[person.name]
                for name, badge in self.badges.items()
                if name in held and badge.asked_of[person.name] != (badge.criteria, badge.value)
            }
        with writing():
            said = [str(each) for each in settling.differences()]
        assert said == []


@pytest.mark.usefixtures("app")
@settings(max_examples=40)
@given(steps)
def test_the_product_agrees_with_the_plain_rules(life: list[tuple[str, int, int, int, bool]]) -> None:
    world = World()
    for step in life:
        world.step(*step)
        world.check()
    for person in world.people:
        with writing():
            attendance.evaluate(person)
        world.settle(person.name)
    world.check()


def test_the_plain_rules_themselves(app: Flask) -> None:
    """So that both are not wrong in the same way: the run of one person, by hand."""
    days = [date(2026, 1, number) for number in range(1, 6)]
    states = [("present", "volunteer"), ("excused", "volunteer"), ("present", "volunteer"), None, ("present", "doctor")]
    life = [
        PlainCamp("North", day, states={"A": state} if state else {}) for day, state in zip(days, states, strict=True)
    ]
    assert plain.runs(life, "A", date(2026, 2, 1)) == (2, 0)
    assert plain.runs(life[:3], "A", date(2026, 1, 3)) == (2, 2)
    assert plain.earned(life, "A", date(2026, 2, 1)) == {"First Step"}
    assert badges.definitions()[0].name == "First Step"
