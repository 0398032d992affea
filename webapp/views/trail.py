"""The audit trail on the screen: searched, paged from the newest entry on, and taken away as CSV."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from flask import Blueprint, Flask, abort, render_template, request, stream_with_context, url_for
from flask.typing import ResponseReturnValue

from webapp.database import writing
from webapp.domain import audit, audit_search, cells
from webapp.domain.audit import Action, Effect, Entry
from webapp.domain.audit_search import AuditFilter, Place, References, Story
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import Camp
from webapp.domain.organisation import settings
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Person, Role
from webapp.views import trail_words
from webapp.views.csv_out import csv_file
from webapp.views.security import permits
from webapp.views.trail_words import Part

blueprint = Blueprint("trail", __name__, url_prefix="/office/trail")

PER_PAGE = 50
AWARDS_PER_PAGE = 100
CHUNK = 100  # entries of an export that are read at a time
MOST_OFFERED = 8  # people or camps that a text may mean
COMMAND_LINE = "command-line"
MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
HEADER = (
    *("at", "by_book_no", "by", "action", "person_book_no", "person", "camp_date", "camp", "badge"),
    *("awarded", "given_back", "taken_back", "device", "in_words"),
)


@dataclass(frozen=True, slots=True)
class Line:
    """An entry as it is shown."""

    entry: Entry
    said: Sequence[Part]
    followed: Sequence[Part]
    at: datetime
    """On the organisation's clock."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a text that was searched for may mean: the words before the choice, and the choices."""

    said: str
    choices: Sequence[tuple[str, dict[str, Any]]] = ()
    """Each its words, and the query that chooses it."""


@dataclass
class Search:
    """What is looked for, as the address says it."""

    query: dict[str, str]
    """What was understood, for the addresses of the next pages."""
    person: Person | None = None
    by: Person | None = None
    by_nobody: bool = False
    action: Action | None = None
    camp: Camp | None = None
    since: date | None = None
    until: date | None = None
    """The last day."""
    offers: list[Offer] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @classmethod
    def asked(cls) -> "Search":
        """From the request's query."""
        search = cls({name: value.strip()[:200] for name, value in request.args.items() if value.strip()})
        search.query = {name: value for name, value in search.query.items() if name in SEARCHED}
        search.person = search._person("person", "Whom it concerns")
        if search.query.get("by") == COMMAND_LINE:
            search.by_nobody = True
        else:
            search.by = search._person("by", "Who did it")
        search.action = search._action()
        search.camp = search._camp()
        search.since, search.until = search._day("since"), search._day("until")
        return search

    @property
    def is_answered(self) -> bool:
        """Whether it is known what is looked for."""
        return not self.offers and not self.problems

    def wanted(self, zone: ZoneInfo) -> AuditFilter:
        """The same in the words of the domain; days are those of a time zone."""
        after = self.until + timedelta(days=1) if self.until else None
        return AuditFilter(
            person_id=self.person.id if self.person else None,
            by_id=self.by.id if self.by else None,
            by_nobody=self.by_nobody,
            action=self.action,
            camp_id=self.camp.id if self.camp else None,
            since=datetime.combine(self.since, time(), zone) if self.since else None,
            until=datetime.combine(after, time(), zone) if after else None,
        )

    def without(self, name: str) -> dict[str, str]:
        """The query that asks for the same but for one thing."""
        return {key: value for key, value in self.query.items() if key != name}

    @property
    def chips(self) -> list[tuple[str, str, dict[str, str]]]:
        """What was chosen of people and camps: its name in the query, its words, the query without it."""
        found = []
        if self.person:
            found.append(("person", f"about {trail_words.name_of(self.person)}", self.without("person")))
        if self.by or self.by_nobody:
            word = "the command line" if self.by_nobody else trail_words.name_of(self.by)
            found.append(("by", f"by {word}", self.without("by")))
        if self.camp:
            word = f"at {self.camp.name}, {self.camp.camp_date:%d.%m.%Y}"
            found.append(("camp", word, self.without("camp")))
        return found

    def _person(self, name: str, said: str) -> Person | None:
        text = self.query.get(name, "")
        if not text:
            return None
        found = accounts.by_id(person_id) if (person_id := _uuid(text)) else None
        if found:
            return found
        people = accounts.find_some(text, MOST_OFFERED + 1)
        if people and str(people[0].book_no) == text:  # and not whose number only begins with it
            people = people[:1]
        if len(people) == 1:
            self.query[name] = str(people[0].id)
            return people[0]
        choices = [
            (f"{trail_words.name_of(each)} ({each.book_no})", self.query | {name: str(each.id)})
            for each in people[:MOST_OFFERED]
        ]
        self._offer(said, text, choices, len(people) > MOST_OFFERED)
        return None

    def _camp(self) -> Camp | None:
        text = self.query.get("camp", "")
        if not text:
            return None
        found = calendar.by_id(camp_id) if (camp_id := _uuid(text)) else None
        if found:
            return found
        named = audit_search.camps_called(_date(text) or text, MOST_OFFERED + 1)
        if len(named) == 1:
            self.query["camp"] = str(named[0].id)
            return named[0]
        many = calendar.has_many_sites()
        choices = [
            (
                f"{each.name}, {each.camp_date:%d.%m.%Y}{f', {each.site.name}' if many else ''}",
                self.query | {"camp": str(each.id)},
            )
            for each in named[:MOST_OFFERED]
        ]
        self._offer("At which camp", text, choices, len(named) > MOST_OFFERED)
        return None

    def _offer(self, said: str, text: str, choices: Sequence[tuple[str, dict[str, Any]]], more: bool) -> None:
        if not choices:
            self.problems.append(f"{said}: nothing matches “{text}”.")
        else:
            and_more = " The first of many:" if more else ""
            self.offers.append(Offer(f"{said}: “{text}” may be several.{and_more}", choices))

    def _action(self) -> Action | None:
        text = self.query.get("action", "")
        try:
            return Action(text) if text else None
        except ValueError:
            self.problems.append(f"“{text}” is no kind of action.")
            return None

    def _day(self, name: str) -> date | None:
        text = self.query.get(name, "")
        day = _date(text) if text else None
        if text and (day is None or not EARLIEST <= day <= LATEST):
            self.problems.append(f"“{text}” is not a date such as 2026-04-12.")
            return None
        return day


# Beyond these an instant could lie outside all calendars, once it is put into UTC.
EARLIEST, LATEST = date(1900, 1, 1), date(9998, 12, 31)
SEARCHED = ("person", "by", "action", "camp", "since", "until")


def init_app(app: Flask) -> None:
    """The filters and globals of the templates."""
    app.add_template_filter(trail_words.asked_words)
    app.add_template_filter(trail_words.action_word)
    app.add_template_global(trail_words.job_address)


@blueprint.get("/")
@permits(Role.ADMIN)
def index() -> ResponseReturnValue:
    """A page of what was done, the newest first."""
    search, zone = Search.asked(), _zone()
    after = _place(request.args.get("after", ""))
    found: list[Entry] = []
    if search.is_answered:
        found = audit_search.entries(search.wanted(zone), after=after, limit=PER_PAGE + 1)
    shown = found[:PER_PAGE]
    lines = lines_of(shown, zone, search.person)
    page = render_template(
        "trail/index.html",
        search=search,
        days=[(day, list(some)) for day, some in groupby(lines, key=lambda line: line.at.date())],
        older=_address_of(shown[-1]) if len(found) > PER_PAGE else None,
        is_newest=after is None,
        actions=sorted(Action, key=trail_words.action_word),
        today=calendar.default_site().today,
        command_line=COMMAND_LINE,
    )
    return page, 422 if search.problems else 200


@blueprint.get("/<uuid:entry_id>")
@permits(Role.ADMIN)
def entry(entry_id: UUID) -> ResponseReturnValue:
    """One entry, with every award that followed."""
    found = audit_search.by_id(entry_id) or abort(404)
    after = request.args.get("after", "").partition(".")
    place = (_uuid(after[0]), _uuid(after[2]))
    awards = audit_search.awards_of(
        found, after=(place[0], place[1]) if place[0] and place[1] else None, limit=AWARDS_PER_PAGE + 1
    )
    shown, people, named = awards[:AWARDS_PER_PAGE], audit_search.people_of(awards), audit_search.named([found])
    last = shown[-1] if len(awards) > AWARDS_PER_PAGE else None
    (line,) = lines_of([found], _zone())
    return render_template(
        "trail/entry.html",
        line=line,
        facts=list(trail_words.facts(found)),
        awards=[
            (trail_words.EFFECTS[each.effect], named.badges.get(each.badge_id), people.get(each.person_id))
            for each in shown
        ],
        name_of=trail_words.name_of,
        older=f"{last.person_id}.{last.badge_id}" if last else None,
        at=trail_words.moment(found.at, _zone()),
    )


@blueprint.post("/audit-trail.csv")
@permits(Role.ADMIN)
def export() -> ResponseReturnValue:
    """Everything that is searched for as CSV; the trail says who took it."""
    search, zone = Search.asked(), _zone()
    if not search.is_answered:
        return index()
    wanted = search.wanted(zone)
    with writing():
        audit.note(Action.EXPORTED, details={"what": "the audit trail"})
    return csv_file(stream_with_context(cells.file_of(HEADER, _rows(wanted, zone))), "audit-trail.csv")


def lines_of(entries: Sequence[Entry], zone: ZoneInfo, about: Person | None = None) -> list[Line]:
    """Entries as they are shown, where it is ``about`` somebody with their awards alone."""
    named = audit_search.named(entries, about.id if about else None)
    return [
        Line(
            each,
            trail_words.sentence(each, named, zone),
            trail_words.consequences(each, named),
            each.at.astimezone(zone),
        )
        for each in entries
    ]


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that became of an award: when, what, by what it came, and why it was taken away."""

    at: str
    word: str
    said: Sequence[Part]
    device: str
    reason: str
    address: str


def why(person: Person, zone: ZoneInfo) -> list[tuple[Story, list[Told], list[str]]]:
    """Of each award somebody has or had: its story, what made it, and what is known from before the trail."""
    stories = audit_search.stories_of(person.id)
    named = audit_search.named([cause.entry for story in stories for cause in story.causes], with_awards=False)
    return [(story, _told(story, named, zone), _from_before(story, zone)) for story in stories]


def _told(story: Story, named: References, zone: ZoneInfo) -> list[Told]:
    words = {Effect.NEW: "Awarded", Effect.REVOKED: "Taken back", Effect.RETURNED: "Given back"}
    return [
        Told(
            trail_words.moment(cause.entry.at, zone),
            words[cause.effect],
            trail_words.sentence(cause.entry, named, zone),
            cause.entry.device,
            cause.reason,
            url_for("trail.entry", entry_id=cause.entry.id),
        )
        for cause in story.causes
    ]


def _from_before(story: Story, zone: ZoneInfo) -> list[str]:
    said = [] if story.is_recorded else [trail_words.FROM_BEFORE]
    for each in story.unrecorded:
        by = accounts.by_id(each.revoked_by_id) if each.revoked_by_id else None
        who = f" by {trail_words.name_of(by)}" if by else ""
        back = f" It was given back {trail_words.moment(each.returned_at, zone)}." if each.returned_at else ""
        said.append(f"Taken back {trail_words.moment(each.revoked_at, zone)}{who}: {each.reason}.{back}")
    return said


def _rows(wanted: AuditFilter, zone: ZoneInfo) -> Iterator[Sequence[object]]:
    for found in audit_search.all_entries(wanted, chunk=CHUNK):
        named = audit_search.named(found, wanted.person_id)
        yield from [_row(each, named, zone) for each in found]


def _row(entry: Entry, named: References, zone: ZoneInfo) -> Sequence[object]:
    by = named.people.get(entry.by_id) if entry.by_id else None
    person = named.people.get(entry.person_id) if entry.person_id else None
    camp = named.camps.get(entry.camp_id) if entry.camp_id else None
    badge = named.badges.get(entry.badge_id) if entry.badge_id else None
    return (
        entry.at.astimezone(zone).isoformat(timespec="seconds"),
        by.book_no if by else "",
        trail_words.name_of(by) if by else "",
        trail_words.action_word(entry.action),
        person.book_no if person else "",
        trail_words.name_of(person) if person else "",
        camp.camp_date if camp else "",
        camp.name if camp else "",
        badge.name if badge else "",
        *(_awards(effect, entry, named) for effect in (Effect.NEW, Effect.RETURNED, Effect.REVOKED)),
        entry.device,
        trail_words.whole(entry, named, zone),
    )


def _awards(effect: Effect, entry: Entry, named: References) -> str:
    followed = named.awards.get(entry.id, ())
    said = [
        trail_words.award_words(award, entry, named.people, named)
        for award in followed[: audit_search.FEW_AWARDS - 1]
        if award.effect is effect
    ]
    return "; ".join([*said, "…"] if said and len(followed) == audit_search.FEW_AWARDS else said)


def _zone() -> ZoneInfo:
    return ZoneInfo(settings.time_zone())


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _address_of(entry: Entry) -> str:
    """An entry's place as a word of an address: microseconds since 1970, and its id."""
    return f"{(entry.at - EPOCH) // MICROSECOND}.{entry.id.hex}"


def _place(text: str) -> Place | None:
    """The place that a word of an address names; nothing for any other word."""
    micros, _, entry_id = text.partition(".")
    found = _uuid(entry_id)
    if found is None or not micros.isascii() or not micros.isdecimal() or len(micros) > 17:
        return None
    return Place(EPOCH + int(micros) * MICROSECOND, found)
