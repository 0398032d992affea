"""The product and the plain rules side by side: the same things are done to both, and compared.

What is done to attendance can be done in three ways (``path``), which must come to the same.
"""

from datetime import UTC, datetime, time, timedelta
from typing import Any

from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import joinedload

from tests import factories
from tests.domain import plain
from tests.domain.plain import BADGES, PlainBadge, PlainCamp
from webapp import clock
from webapp.database import db, writing
from webapp.domain.attendance import fast_path, marking
from webapp.domain.badges import awards, definitions, history
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import Camp
from webapp.domain.errors import ConflictError
from webapp.domain.evaluation import backfill, bulk, verify
from webapp.domain.jobs import Job
from webapp.domain.models.attendance import Attendance, CampRole, State
from webapp.domain.models.badge import Award, Badge, BadgeVersion, Revocation
from webapp.domain.models.totals import Figures, Totals
from webapp.domain.people.accounts import Person, Role
from webapp.domain.people.credentials import Asker
from webapp.domain.schedule import schedule

A_SUNDAY = datetime(2026, 1, 25, 6, tzinfo=UTC)
"""Four of its weekly camps are of this year, the fifth and all before of the last."""

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
ASKED = [
    ("visits", 1),
    ("visits", 2),
    ("visits", 4),
    ("consecutive_visits", 2),
    ("consecutive_visits", 3),
    ("visits_in_year", 1),
    ("visits_in_year", 2),
    ("visits_in_year", 3),
]
CHANGING = ["Certified Volunteer", "On a Roll", "Elite Volunteer"]  # each can be reached in a short life
BEGINNING = [*BADGES[:-1], ("Elite Volunteer", "visits_in_year", 3)]

Step = tuple[str, int, int, int, bool]


def steps(verbs: tuple[str, ...] = VERBS, most: int = 40) -> st.SearchStrategy[list[Step]]:
    """A life: what is done, to whom, at which camp, how many weeks ago, at which of two sites."""
    step = st.tuples(st.sampled_from(verbs), st.integers(0, 1), st.integers(0, 30), st.integers(-1, 9), st.booleans())
    return st.lists(step, min_size=5, max_size=most)


class World:
    """The product and the plain rules side by side, with what should be held by each person."""

    def __init__(self, path: str = "general") -> None:
        self.path = path
        self.now = clock.now()
        self.fast_marks = 0
        with writing():
            for table in (Totals, Revocation, Award, Attendance, Camp, Job, Person):
                db.session.execute(delete(table))
            db.session.execute(delete(BadgeVersion).where(BadgeVersion.version > 1))
            for name, criteria, value in BEGINNING:
                asked = {"criteria_type": criteria, "criteria_value": value, "version": 1, "is_active": True}
                badge_id = select(Badge.id).where(Badge.name == name).scalar_subquery()
                db.session.execute(update(Badge).where(Badge.name == name).values(asked))
                first = {"criteria_type": criteria, "criteria_value": value}
                db.session.execute(update(BadgeVersion).where(BadgeVersion.badge_id == badge_id).values(first))
        db.session.expunge_all()
        self.ids = {badge.name: badge.id for badge in awards.all_definitions()}
        self.badges = {name: PlainBadge(criteria, value) for name, criteria, value in BEGINNING}
        self.today = calendar.default_site().today
        self.sites = {site.name: site for site in calendar.sites()}
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
        number = len(self.camps)
        with writing():  # each begins at a time of its own, so that it is certain which completes a badge
            camp = schedule.add_camp(self.sites[site], f"Camp {number}", day, time(9, number))
        self.camps.append((camp, PlainCamp(site, day)))

    def next_week(self, site: str) -> tuple[Camp, PlainCamp]:
        """Let a week pass; the camp of that day there, a new one unless there is one already."""
        self.now += timedelta(weeks=1)
        self.today += timedelta(weeks=1)
        with clock.stopped_at(self.now):
            of_today = [each for each in self.camps if (each[1].day, each[1].site) == (self.today, site)]
            if not of_today:
                self.add_camp(0, site)
        return (of_today or self.camps)[-1]

    def reached(self, who: str) -> dict[str, int]:
        return plain.amounts(self.plain_camps, who, self.today)

    def evaluate(self, who: str, before: dict[str, int] | None = None) -> None:
        for badge in self.badges.values():
            badge.evaluate(who, self.reached(who), before)

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
            job = backfill.add(badge, by=self.by)
            while backfill.batch(job):
                pass
        for each in self.people:
            self.evaluate(each.name)

    def step(self, *step: Any) -> None:
        """Do one thing to both."""
        with clock.stopped_at(self.now):
            self._step(*step)

    def _step(self, verb: str, whose: int, which: int, weeks_ago: int, north: bool) -> None:
        camp, plain_camp = self.camps[which % len(self.camps)]
        person = self.people[whose]
        if verb == "come":  # to the camp of another week, as people do
            verb = "present"
            camp, plain_camp = self.next_week("North" if north else "South")
            with clock.stopped_at(self.now):
                self._mark(verb, person, camp, plain_camp)
            return
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
                (schedule.cancel_camp if plain_camp.cancelled else schedule.reinstate_camp)(camp)
            for each in self.people:
                if any(each.name in other.states for other in self.plain_camps if other.site == plain_camp.site):
                    self.evaluate(each.name)
            return
        self._mark(verb, person, camp, plain_camp)

    def _mark(self, verb: str, person: Person, camp: Camp, plain_camp: PlainCamp) -> None:
        before = self.reached(person.name)
        old = dict(plain_camp.states)
        allowed = self.change(plain_camp, person.name, verb)
        try:
            self.do(verb, person, camp)
        except ConflictError:
            assert not allowed
            plain_camp.states = old
            return
        assert allowed
        if verb != "sign up" and plain_camp.states != old:
            self.evaluate(person.name, before)

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

    def do(self, verb: str, person: Person, camp: Camp) -> None:
        """Do to the product what the verb says. Raises :class:`ConflictError` where it may not be."""
        if self.path == "fast" and verb == "present":
            asker = Asker(self.by.id, self.by.session_no)
            made = fast_path.mark(person.id, camp.id, asker, camp_role=CampRole.VOLUNTEER)
            db.session.expire_all()
            if made:
                self.fast_marks += 1
                return
        if self.path == "bulk" and verb != "sign up" and camp.is_held:
            self.store(verb, person, camp)
            return
        with writing():
            self.call(verb, person, camp)

    def call(self, verb: str, person: Person, camp: Camp) -> Any:
        match verb:
            case "present":
                return marking.mark_present(person, camp, by=self.by, camp_role=CampRole.VOLUNTEER)
            case "doctor":
                return marking.mark_present(person, camp, by=self.by, camp_role=CampRole.DOCTOR)
            case "excuse":
                return marking.excuse(person, camp, by=self.by)
            case "absent":
                return marking.mark_absent(person, camp, by=self.by)
            case "undo":
                return marking.undo(person, camp, by=self.by)
        return marking.sign_up(person, camp)

    def store(self, verb: str, person: Person, camp: Camp) -> None:
        """Store plainly what the verb means, take away what that costs, and evaluate in bulk: as imports do."""
        key = Attendance.person_id == person.id, Attendance.camp_id == camp.id
        with writing():
            stored = db.session.scalars(select(Attendance).where(*key)).one_or_none()
            stood = (stored.state, stored.camp_role) if stored else None
            becomes = self.stands(verb, stored)
            if becomes == stood:
                return
            before = history.of_person(person.id)
            if stored:
                db.session.expunge(stored)
                db.session.execute(delete(Attendance).where(*key))
            if becomes:
                state, camp_role = becomes
                where = {"person_id": person.id, "camp_id": camp.id, "site_id": camp.site_id}
                said = {"state": state, "camp_role": camp_role, "camp_date": camp.camp_date}
                signed_up_as = stored.signed_up_as if stored else None
                db.session.execute(insert(Attendance).values(**where, **said, signed_up_as=signed_up_as))
            after = history.of_person(person.id)
            awards.take_back({person.id: (before, after)}, reason="corrected")
            bulk.evaluate(select(Person.id).where(Person.id == person.id))

    def stands(self, verb: str, stored: Attendance | None) -> tuple[State, CampRole] | None:
        if verb == "undo":
            return (State.EXPECTED, stored.signed_up_as) if stored and stored.signed_up_as else None
        if verb in ("present", "doctor"):
            return State.PRESENT, CampRole.DOCTOR if verb == "doctor" else CampRole.VOLUNTEER
        state = {"excuse": State.EXCUSED, "absent": State.ABSENT}[verb]
        return state, stored.camp_role if stored else CampRole.VOLUNTEER

    def check(self) -> None:
        """Hold what the product says and keeps against the plain rules."""
        self.check_people()
        with clock.stopped_at(self.now):
            assert verify.differences() == []
            db.session.rollback()

    def check_people(self) -> None:
        """Do so without the product's own check of itself."""
        with clock.stopped_at(self.now):
            for person in self.people:
                self.check_person(person)
            db.session.rollback()

    def check_person(self, person: Person) -> None:
        who, own = person.name, history.of_person(person.id)
        assert len(own.visits) == plain.visits(self.plain_camps, who, self.today)
        assert (own.longest_streak, own.current_streak) == plain.streaks(self.plain_camps, who, self.today)
        held = {name for name, badge in self.badges.items() if who in badge.held_by}
        assert factories.held(person) == held
        assert {badge_id: tuple(asked) for badge_id, asked in awards.older_of(person.id).items()} == {
            self.ids[name]: badge.asked_of[who]
            for name, badge in self.badges.items()
            if name in held and badge.asked_of[who] != (badge.criteria, badge.value)
        }
        completed = {award.badge.name: award.camp.camp_date for award in awards.of_person(person.id)}
        for name in held:
            asked = self.badges[name].asked_of[who]
            on = plain.completed_on(self.plain_camps, who, self.today, *asked)
            assert on in (None, completed[name]), name
        assert self.totals_of(person) == plain.totals(self.plain_camps, who, self.today)

    def totals_of(self, person: Person) -> dict[str, tuple[Any, ...]]:
        """What is kept of somebody at each site they visited; elsewhere it is nought."""
        kept = {}
        names = {site.id: site.name for site in calendar.sites()}
        query = select(Totals).where(Totals.person_id == person.id)
        for totals in db.session.scalars(query.execution_options(populate_existing=True)):
            figures = totals.figures
            if figures.visits:
                in_order = figures.visits, figures.longest_streak, figures.streak
                kept[names[totals.site_id]] = (*in_order, figures.last_visit, figures.visits_in_year)
            else:
                assert figures == Figures()
        return kept

    def outcome(self) -> dict[str, Any]:
        """What there is of each person in the end, in words that are the same in another world."""
        found: dict[str, Any] = {}
        for person in self.people:
            query = select(Award).where(Award.person_id == person.id).options(joinedload(Award.camp))
            stored = db.session.scalars(query.execution_options(populate_existing=True)).all()
            found[person.name] = {
                "awards": {(award.badge.name, award.camp.name, award.revoked_at is None) for award in stored},
                "totals": self.totals_of(person),
            }
        return found
