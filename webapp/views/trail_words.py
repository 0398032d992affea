"""What is said of an entry of the audit trail: who did what to whom, on which device, and which awards followed."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from string import Formatter
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from flask import url_for

from webapp.domain.audit import Action, Effect, Entry, EntryAward
from webapp.domain.audit_search import FEW_AWARDS, References
from webapp.domain.badges.criteria import asks
from webapp.domain.models.attendance import CampRole
from webapp.domain.models.badge import Requirement
from webapp.domain.people.accounts import Person
from webapp.views.presentation import day, plural

ACTIONS: dict[Action, tuple[str, str]] = {
    # what it is called in a list to choose from, and the sentence
    Action.PRESENT: ("Marked present", "{by} marked {person} present{role} at {camp}"),
    Action.EXCUSED: ("Marked excused", "{by} excused {person} from {camp}"),
    Action.ABSENT: ("Marked absent", "{by} marked {person} absent from {camp}"),
    Action.UNDONE: ("Mark undone", "{by} took back the mark of {person} at {camp}"),
    Action.SIGNED_UP: ("Signed up", "{by} signed {person} up{role} for {camp}"),
    Action.COMING: ("Said they come", "{by} noted that {person} comes to {camp}"),
    Action.NOT_COMING: ("Said they cannot come", "{by} noted that {person} cannot come to {camp}"),
    Action.LEFT: ("Leaving time", "{by} noted that {person} left {camp}{time}"),
    Action.STAYED: ("Leaving time taken back", "{by} took back the leaving time of {person} at {camp}"),
    Action.CLOSED: ("Roll call closed", "{by} closed the roll call of {camp}"),
    Action.REOPENED: ("Roll call reopened", "{by} opened the roll call of {camp} again"),
    Action.EVALUATED: ("Badges evaluated", "{by} had the badges of {person} evaluated"),
    Action.PERSON_ADDED: ("Person added", "{by} added {person}"),
    Action.PERSON_CHANGED: ("Person changed", "{by} changed what is kept of {person}{difference}"),
    Action.ROLE_CHANGED: ("Role changed", "{by} changed the role of {person}{new_role}"),
    Action.DEACTIVATED: ("Account switched off", "{by} switched off the account of {person}"),
    Action.REACTIVATED: ("Account switched on", "{by} switched the account of {person} on again"),
    Action.LINK_MADE: ("Link for a password made", "{by} made a one-time link for a password of {person}"),
    Action.PASSWORD_SET: ("Password set", "{by} gave {person} a new password"),
    Action.CARD_REPLACED: ("Card replaced", "{by} replaced the card of {person}"),
    Action.DATA_DOWNLOADED: ("Data downloaded", "{by} downloaded what is kept of {person}"),
    Action.ANONYMISED: ("Anonymised", "{by} took the name of {person} out of everything"),
    Action.OPTED_OUT: ("Left the leaderboards", "{by} took {person} off the leaderboards"),
    Action.OPTED_IN: ("Back on the leaderboards", "{by} put {person} back on the leaderboards"),
    Action.SITE_ADDED: ("Site added", "{by} added the place {place}"),
    Action.SITE_CHANGED: ("Site changed", "{by} changed the place {place}{difference}"),
    Action.CAMP_ADDED: ("Camp added", "{by} put {camp} on the calendar"),
    Action.CAMP_CHANGED: ("Camp changed", "{by} changed {camp}{difference}"),
    Action.CAMP_CANCELLED: ("Camp cancelled", "{by} cancelled {camp}"),
    Action.CAMP_REINSTATED: ("Camp reinstated", "{by} put {camp} back on the calendar"),
    Action.BADGE_ADDED: ("Badge added", "{by} made the badge {badge}"),
    Action.BADGE_CHANGED: ("Badge changed", "{by} changed the badge {badge}{difference}"),
    Action.BADGE_RETIRED: ("Badge retired", "{by} retired the badge {badge}"),
    Action.BADGE_REINSTATED: ("Badge brought back", "{by} brought the badge {badge} back"),
    Action.BACKFILLED: ("Backfill", "{by} had the badge {badge} awarded to everybody who had earned it"),
    Action.IMPORTED: ("History imported", "{by} imported a history"),
    Action.PEOPLE_IMPORTED: ("People imported", "{by} imported people"),
    Action.EXPORTED: ("Exported", "{by} exported {what}"),
    Action.SETTINGS_CHANGED: ("Settings changed", "{by} changed the settings{setting}"),
}
# Where somebody did it for themselves.
THEMSELVES: dict[Action, str] = {
    Action.SIGNED_UP: "{by} signed up{role} for {camp}",
    Action.COMING: "{by} said they come to {camp}",
    Action.NOT_COMING: "{by} said they cannot come to {camp}",
    Action.PERSON_CHANGED: "{by} changed what is kept of them{difference}",
    Action.PASSWORD_SET: "{by} changed their password",
    Action.CARD_REPLACED: "{by} replaced their own card",
    Action.DATA_DOWNLOADED: "{by} downloaded what is kept of them",
    Action.OPTED_OUT: "{by} left the leaderboards",
    Action.OPTED_IN: "{by} came back to the leaderboards",
}
EFFECTS = {Effect.NEW: "awarded", Effect.RETURNED: "gave back", Effect.REVOKED: "took back"}
FORMER = "Former volunteer"
# Numbers that imports and the like keep.
NUMBERS = {
    "stored": ("row stored", "rows stored"),
    "bad": ("row refused", "rows refused"),
    "new_people": ("new person", "new people"),
    "new_camps": ("new camp", "new camps"),
    "new_badges": ("badge awarded", "badges awarded"),
    "returned_badges": ("badge given back", "badges given back"),
    "moved_badges": ("badge completed by another camp", "badges completed by other camps"),
    "revoked_badges": ("badge taken back", "badges taken back"),
    "absent": ("person absent", "people absent"),
    "expected": ("person expected again", "people expected again"),
}
LONGEST_FACT = 80  # characters of what is shown of a setting
FROM_BEFORE = "It was awarded before this was recorded, so who marked what then is not known."


class Part(NamedTuple):
    """A piece of a sentence, and where it leads."""

    text: str
    address: str | None = None


def action_word(action: Action) -> str:
    """What a kind of action is called."""
    return ACTIONS[action][0]


def name_of(person: Person | None) -> str:
    """What somebody is called in the trail today."""
    if person is None:
        return "Somebody"
    return FORMER if person.anonymised_at else person.name


def sentence(entry: Entry, named: References, zone: ZoneInfo) -> list[Part]:
    """Who did what to whom, with ways to them."""
    by_themselves = entry.by_id is not None and entry.by_id == entry.person_id
    phrase = ACTIONS[entry.action][1]
    if by_themselves:
        phrase = THEMSELVES.get(entry.action, phrase.replace("{person}", "themselves"))
    elif entry.action is Action.EVALUATED and entry.person_id is None:
        phrase = "{by} had everybody’s badges evaluated"
    parts = []
    for said, name, _, _ in Formatter().parse(phrase):
        if said:
            parts.append(Part(said))
        if name and (part := _filled(name, entry, named, zone)).text:
            parts.append(part)
    if numbers := _numbers(entry.facts):
        parts.append(Part(f": {numbers}"))
    return parts


def consequences(entry: Entry, named: References) -> list[Part]:
    """Which awards followed, the first of them by name; empty where there were none."""
    awards = named.awards.get(entry.id, ())
    parts: list[Part] = []
    for effect, word in EFFECTS.items():
        ours = [award for award in awards[: FEW_AWARDS - 1] if award.effect is effect]
        if ours:
            listed = ", ".join(award_words(award, entry, named.people, named) for award in ours)
            parts.append(Part(f"{', ' if parts else ''}{word} {listed}"))
    if len(awards) == FEW_AWARDS:
        parts += [Part(" and "), Part("more", url_for("trail.entry", entry_id=entry.id))]
    return parts


def award_words(award: EntryAward, entry: Entry, people: Mapping[UUID, Person], named: References) -> str:
    """The badge, and whose it is where the entry does not say so."""
    badge = named.badges.get(award.badge_id)
    word = badge.name if badge else "a badge"
    if award.person_id == entry.person_id:
        return word
    return f"{word} {'from' if award.effect is Effect.REVOKED else 'to'} {name_of(people.get(award.person_id))}"


def whole(entry: Entry, named: References, zone: ZoneInfo) -> str:
    """The entry in one line of text."""
    said = [sentence(entry, named, zone), [Part(entry.device)], consequences(entry, named)]
    return " · ".join("".join(part.text for part in parts) for parts in said if parts)


def facts(entry: Entry) -> Iterator[tuple[str, str]]:
    """Whatever else is kept of it: a name and a value each."""
    for name, value in entry.facts.items():
        if value not in (None, "", [], {}):
            yield name.replace("_", " "), _plain(value)


def _plain(value: object) -> str:
    """A fact in words."""
    if isinstance(value, dict):
        return ", ".join(f"{str(name).replace('_', ' ')}: {_plain(each)}" for name, each in value.items())
    return ", ".join(map(_plain, value)) if isinstance(value, list) else str(value)


def asked_words(asked: Requirement) -> str:
    """What a badge asked for: ``5 camps``, ``5 camps in a row``."""
    return asks(*asked)


def moment(instant: datetime, zone: ZoneInfo) -> str:
    """``Sun 12 April 2026, 11:30`` on the organisation's clock."""
    local = instant.astimezone(zone)
    return f"{day(local.date())}, {local:%H:%M}"


def _filled(name: str, entry: Entry, named: References, zone: ZoneInfo) -> Part:
    known = entry.facts
    match name:
        case "by":
            return _by(entry, named)
        case "person":
            return _person(entry.person_id, named)
        case "camp":
            return _camp(entry, named)
        case "badge":
            badge = named.badges.get(entry.badge_id) if entry.badge_id else None
            return Part(badge.name if badge else str(known.get("name") or "of another day"))
        case "role":
            role = known.get("camp_role")
            return Part(f" as {role}" if role and role != CampRole.VOLUNTEER else "")
        case "new_role":
            was, role = known.get("before"), known.get("role")
            return Part(f" from {was} to {role}" if was and role else f" to {role}" if role else "")
        case "place":
            facts_after = known.get("after")
            called = facts_after.get("name") if isinstance(facts_after, dict) else known.get("name")
            return Part(str(called or "where camps are held"))
        case "difference":
            return Part(_difference(known))
        case "time":
            return Part(_time(known.get("left_at"), entry, named, zone))
        case "what":
            return Part(str(known.get("what") or "data").replace("_", " "))
        case "setting":
            return Part(_setting(known))
    raise AssertionError(name)


def _by(entry: Entry, named: References) -> Part:
    if entry.by_id is None:
        return Part("The command line" if entry.device == "command line" else "Somebody not signed in")
    return _person(entry.by_id, named)


def _person(person_id: UUID | None, named: References) -> Part:
    person = named.people.get(person_id) if person_id else None
    address = url_for("cabinet.of_person", person_id=person.id) if person and not person.anonymised_at else None
    return Part(name_of(person), address)


def _camp(entry: Entry, named: References) -> Part:
    camp = named.camps.get(entry.camp_id) if entry.camp_id else None
    if camp is None:
        return Part("a camp")
    return Part(f"{camp.name}, {day(camp.camp_date)}", url_for("roll_call.camp", camp_id=camp.id))


def _time(instant: object, entry: Entry, named: References, zone: ZoneInfo) -> str:
    camp = named.camps.get(entry.camp_id) if entry.camp_id else None
    try:
        at = datetime.fromisoformat(str(instant))
    except ValueError:
        return ""
    return f" at {at.astimezone(camp.site.zone if camp else zone):%H:%M}"


def _difference(known: Mapping[str, object]) -> str:
    """What was changed: from what to what, where that is kept."""
    before, after, changed = known.get("before"), known.get("after"), known.get("changed")
    if isinstance(before, dict) and isinstance(after, dict):
        said = [f"{name.replace('_', ' ')} from {_plain(before.get(name))} to {_plain(after[name])}" for name in after]
        return f" ({', '.join(said)})"
    return f" ({_plain(changed).replace('_', ' ')})" if isinstance(changed, list) and changed else ""


def _setting(known: Mapping[str, object]) -> str:
    said = [f"{name.replace('_', ' ')} is “{str(value)[:LONGEST_FACT]}”" for name, value in known.items()]
    said = [each for each, name in zip(said, known, strict=True) if name != "before"]
    return f": {', '.join(said)}" if said else ""


def _numbers(known: Mapping[str, object]) -> str:
    said = [
        plural(number, *words)
        for name, words in NUMBERS.items()
        if isinstance(number := known.get(name), int) and not isinstance(number, bool) and number
    ]
    return ", ".join(said)


def job_address(entry: Entry) -> str | None:
    """Where the job is told of in which it was done."""
    return url_for("jobs.job", job_id=entry.job_id) if entry.job_id else None
