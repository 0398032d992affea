"""Definitions of badges as an admin makes them: added, changed, retired, reinstated; and whom that would reach.

What a badge asks for may change, and the past stays: an award keeps the definition under which it was earned.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from uuid import UUID

from sqlalchemy import Select, and_, exists, func, select
from sqlalchemy.orm import joinedload

from webapp import clock
from webapp.database import db, one_at_a_time
from webapp.domain import audit
from webapp.domain.audit import Action
from webapp.domain.badges.criteria import CRITERIA, Visits
from webapp.domain.errors import ConflictError, InvalidError
from webapp.domain.models.badge import Award, Badge, BadgeVersion, Requirement
from webapp.domain.people.accounts import Person
from webapp.infra.ids import new_id

LONGEST_NAME = 60  # characters
LONGEST_DESCRIPTION = 200
MOST_ASKED = 10_000  # camps; somebody who came every day of 27 years
NAMED = 10  # people

ARTWORK: Mapping[str, Sequence[str]] = {
    "shape": ("round", "scalloped", "flame", "hexagon", "shield", "star", "octagon", "petals"),
    "metal": ("copper", "bronze", "silver", "gold", "enamel"),
    "ribbon": ("marigold", "teal", "red", "indigo", "green", "rose"),
    "emblem": (
        *("footprint", "check", "links", "calendar", "lotus", "heart", "lamp"),
        *("sun", "sprout", "drop", "stethoscope", "star"),
    ),
}
"""The parts a medal is composed of, as ``templates/components/medal_parts.html`` draws them."""


class ChangedMeanwhileError(ConflictError):
    """Somebody else changed the definition after it was read."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a badge is to be, as it was typed: anything may be wrong with it (see :meth:`problems`)."""

    name: str = ""
    description: str = ""
    criteria_type: str = Visits.key
    criteria_value: str = ""
    shape: str = ARTWORK["shape"][0]
    metal: str = ARTWORK["metal"][0]
    ribbon: str = ARTWORK["ribbon"][0]
    emblem: str = ARTWORK["emblem"][0]

    @classmethod
    def typed(cls, values: Mapping[str, str]) -> "Draft":
        """From the fields of a form; what is missing is as in a new one. Spaces around words are nobody's wish."""
        given = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        return cls(**{name: " ".join(value.split()) for name, value in given.items()})

    @classmethod
    def of(cls, badge: Badge) -> "Draft":
        """As a badge is now."""
        return cls(**{field.name: str(getattr(badge, field.name)) for field in fields(cls)})

    @property
    def requirement(self) -> Requirement:
        """What is asked for; of a draft without :meth:`problems`."""
        return Requirement(self.criteria_type, int(self.criteria_value))

    @property
    def drawable(self) -> "Draft":
        """With the first of the parts in place of any that is not drawn."""
        parts = {part: getattr(self, part) for part in ARTWORK}
        known = {part: value if value in ARTWORK[part] else ARTWORK[part][0] for part, value in parts.items()}
        return Draft(self.name, self.description, self.criteria_type, self.criteria_value, **known)

    def problems(self, badge: Badge | None = None) -> dict[str, str]:
        """What is wrong, by field, in words for who typed it; ``badge`` is the one it is for, of a change."""
        found = {
            "name": _problem_of(self.name, LONGEST_NAME, "The badge needs a name.") or self._taken(badge),
            "description": _problem_of(self.description, LONGEST_DESCRIPTION, "Say what it is awarded for."),
            "criteria_value": self._problem_of_value(),
        }
        if self.criteria_type not in CRITERIA:
            found["criteria_type"] = "Choose what is counted."
        for part, known in ARTWORK.items():
            if getattr(self, part) not in known:
                found[part] = f"Choose another {part}."
        return {field: problem for field, problem in found.items() if problem}

    def _problem_of_value(self) -> str:
        value = self.criteria_value
        if value.isascii() and value.isdecimal() and len(value) <= 9 and 1 <= int(value) <= MOST_ASKED:
            return ""
        return f"A whole number from 1 to {MOST_ASKED:,}."

    def _taken(self, badge: Badge | None) -> str:
        """Two names that differ in their capitals alone nobody tells apart."""
        for other_id, name in db.session.execute(select(Badge.id, Badge.name)):
            if name.casefold() == self.name.casefold() and not (badge and other_id == badge.id):
                return f"There is a badge “{name}” already."
        return ""


def _problem_of(text: str, longest: int, missing: str) -> str:
    if not text:
        return missing
    if len(text) > longest:
        return f"{len(text):,} characters; at most {longest} fit."
    return "" if text.isprintable() else "It holds characters that cannot be shown."


# --- the verbs -----------------------------------------------------------------------------------


def fingerprint(badge: Badge) -> str:
    """By what it is known whether a badge is still as it was read: its definition, and whether it is awarded."""
    facts = [*astuple(Draft.of(badge)), str(badge.is_active)]
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:16]


def add(draft: Draft) -> Badge:
    """A new badge, in the last place. Raises :class:`InvalidError` for a draft with problems."""
    _alone()
    _refuse(draft.problems())
    badge = Badge(id=new_id(), position=(db.session.scalar(select(func.max(Badge.position))) or 0) + 1, version=1)
    badge.is_active = True
    _put(badge, draft)
    db.session.add(badge)
    db.session.flush()
    _define(badge)
    audit.note(Action.BADGE_ADDED, badge_id=badge.id, details=_told(badge.requirement))
    return badge


def change(badge: Badge, draft: Draft, seen: str) -> bool:
    """Make a badge what the draft says; whether it asks for something else now, which makes a new version.

    ``seen`` is the :func:`fingerprint` of what was read. Raises :class:`ChangedMeanwhileError` where the
    badge is another by now, and :class:`InvalidError` for a draft with problems.
    """
    badge = _held(badge)
    before = Draft.of(badge)
    if fingerprint(badge) != seen:
        raise ChangedMeanwhileError(f"Somebody else has changed {badge.name} meanwhile. Nothing was changed.")
    _refuse(draft.problems(badge))
    changed = [field.name for field in fields(Draft) if getattr(before, field.name) != getattr(draft, field.name)]
    is_other = before.requirement != draft.requirement
    if not changed:
        return False
    _put(badge, draft)
    badge.version += is_other
    db.session.flush()
    if is_other:
        _define(badge)
    told = {"changed": changed} | (
        {"before": _told(before.requirement), "after": _told(draft.requirement)} if is_other else {}
    )
    audit.note(Action.BADGE_CHANGED, badge_id=badge.id, details=told)
    return is_other


def retire(badge: Badge) -> bool:
    """Award it no more. It stays with those who have it. Whether that changed anything."""
    return _activate(badge, False)


def reinstate(badge: Badge) -> bool:
    """Award a retired badge again. Whether that changed anything."""
    return _activate(badge, True)


def _activate(badge: Badge, is_active: bool) -> bool:
    badge = _held(badge)
    if badge.is_active is is_active:
        return False
    badge.is_active = is_active
    db.session.flush()
    audit.note(Action.BADGE_REINSTATED if is_active else Action.BADGE_RETIRED, badge_id=badge.id)
    return True


def _alone() -> None:
    """Nobody else changes definitions until the transaction ends: names and places are looked up and taken."""
    one_at_a_time("badge definitions")


def _held(badge: Badge) -> Badge:
    """The badge as it is now, and as it stays until the transaction ends."""
    _alone()
    return db.session.get_one(Badge, badge.id, populate_existing=True)


def _refuse(problems: Mapping[str, str]) -> None:
    if problems:
        raise InvalidError(" ".join(problems.values()))


def _put(badge: Badge, draft: Draft) -> None:
    badge.name, badge.description = draft.name, draft.description
    badge.criteria_type, badge.criteria_value = draft.requirement
    badge.shape, badge.metal, badge.ribbon, badge.emblem = draft.shape, draft.metal, draft.ribbon, draft.emblem


def _define(badge: Badge) -> None:
    asked = {"criteria_type": badge.criteria_type, "criteria_value": badge.criteria_value}
    db.session.add(BadgeVersion(badge_id=badge.id, version=badge.version, since=clock.now(), **asked))
    db.session.flush()


def _told(asked: Requirement) -> dict[str, object]:
    return {"criteria_type": asked.criteria_type, "criteria_value": asked.criteria_value}


# --- what is known of them -----------------------------------------------------------------------


def listing() -> Select[tuple[Badge]]:
    """The query for all definitions: those that are awarded in their order, then the retired ones."""
    return select(Badge).order_by(~Badge.is_active, Badge.criteria_value, Badge.position)


def by_id(badge_id: UUID) -> Badge | None:
    """The badge with this id, as it is now."""
    return db.session.get(Badge, badge_id, populate_existing=True)


def versions_of(badge: Badge) -> Sequence[BadgeVersion]:
    """What a badge asked for, the newest version first."""
    query = select(BadgeVersion).where(BadgeVersion.badge_id == badge.id).order_by(BadgeVersion.version.desc())
    return db.session.scalars(query).all()


def holders(badge_ids: Sequence[UUID]) -> dict[UUID, int]:
    """How many people hold each of these badges."""
    held = Award.badge_id.in_(badge_ids), Award.revoked_at.is_(None)
    query = select(Award.badge_id, func.count()).where(*held).group_by(Award.badge_id)
    return dict(db.session.execute(query).tuples().all())


def held_by_version(badge: Badge) -> dict[int, int]:
    """How many awards of a badge stand that were earned under each version."""
    query = select(Award.version, func.count()).where(Award.badge_id == badge.id, Award.revoked_at.is_(None))
    return dict(db.session.execute(query.group_by(Award.version)).tuples().all())


def older_awards(badge: Badge) -> Select[tuple[Award]]:
    """The query for the awards that stand and were earned when the badge asked for something else, by name."""
    return (
        select(Award)
        .join(BadgeVersion, Award.under())
        .join(Person, Person.id == Award.person_id)
        .where(Award.badge_id == badge.id, Award.revoked_at.is_(None), BadgeVersion.differs_from(badge))
        .order_by(Person.search_name, Person.book_no)
        .options(joinedload(Award.camp))
    )


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a definition would do, from the totals as they are now."""

    reached: int
    """People who have reached what is asked."""
    gaining: int
    """Those of them who do not hold the badge."""
    names: Sequence[Person]
    """The first :data:`NAMED` of the gaining, by name, those with an account that is switched off last."""
    held: int
    """People who hold it already."""
    beyond: int
    """Those of them who have not reached what is asked, and keep it."""


def forecast(requirement: Requirement, badge: Badge | None = None) -> Forecast:
    """Say whom a badge would reach that asks for this; ``badge`` is the one it is for, unless it is new."""
    reached = CRITERIA[requirement.criteria_type].people(requirement.criteria_value).cte("reached")
    query = select(func.count()).select_from(reached)
    number = db.session.scalar(query) or 0
    people = select(Person).join(reached, reached.c[0] == Person.id)
    held = beyond = 0
    if badge:
        own = and_(
            Award.person_id == reached.c[0],
            Award.badge_id == badge.id,
            Award.revoked_at.is_(None),
        )
        held = holders([badge.id]).get(badge.id, 0)
        both = db.session.scalar(query.where(exists().where(own))) or 0
        people, beyond = people.where(~exists().where(own)), held - both
    first = people.order_by(~Person.is_active, Person.search_name, Person.book_no).limit(NAMED)
    gaining = number - (held - beyond)
    return Forecast(number, gaining, db.session.scalars(first).all(), held, beyond)
