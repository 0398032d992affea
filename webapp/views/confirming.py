"""Changes of the calendar that are shown before they are made: what they do to people, found by trying."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from flask import render_template, request

from webapp.database import trying, writing
from webapp.domain.audit import Effect
from webapp.domain.camps.calendar import Site
from webapp.domain.schedule import schedule
from webapp.domain.schedule.schedule import Effects, Gain
from webapp.views.presentation import plural

MOST_HIDDEN = 1_000  # fields of a form that are carried through the question


class _ChangedMeanwhileError(Exception):
    def __init__(self, effects: Effects) -> None:
        super().__init__()
        self.effects = effects


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody is asked before a change."""

    title: str
    button: str
    back: str
    """The address where nothing is done."""
    facts: Sequence[str] = ()
    """What else is to be known, a sentence each."""


def carried_out(question: Question, site: Site, first: date, change: Callable[[UUID], object]) -> str | None:
    """Carry out a change of a site's calendar from a date on, if the form says that what it does was shown and
    it does just that still; nothing then. Else the page that shows it and asks, and nothing is changed.
    """
    shown = request.form.get("shown")
    changed_meanwhile = False
    if shown:
        try:
            with writing():
                effects = schedule.weigh(site, first, change)
                if effects.digest != shown:
                    raise _ChangedMeanwhileError(effects)
            return None
        except _ChangedMeanwhileError as error:
            effects, changed_meanwhile = error.effects, True
    else:
        with trying():
            effects = schedule.weigh(site, first, change)
    carried = [(name, value) for name, value in request.form.items(multi=True) if name not in ("csrf_token", "shown")]
    return render_template(
        "calendar/confirm.html",
        question=question,
        effects=effects,
        said=summary(effects),
        figures=figures(effects),
        changed_meanwhile=changed_meanwhile,
        carried=carried[:MOST_HIDDEN],
    )


def summary(effects: Effects) -> str:
    """What becomes of badges, in a sentence: ``3 people gain On a Roll; nobody loses anything.``"""
    gained = [said_of(gain) for gain in effects.gains if gain.effect is not Effect.REVOKED]
    lost = [said_of(gain) for gain in effects.gains if gain.effect is Effect.REVOKED]
    if not gained and not lost:
        return "Nobody gains or loses a badge."
    said = f"{', '.join(gained) or 'nobody gains anything'}; {', '.join(lost) or 'nobody loses anything'}."
    return said[0].upper() + said[1:]


def said_of(gain: Gain) -> str:
    """One badge, and how many people it comes to: ``3 people gain On a Roll``."""
    one, many = {
        Effect.NEW: ("gains", "gain"),
        Effect.RETURNED: ("gets back", "get back"),
        Effect.REVOKED: ("loses", "lose"),
    }[gain.effect]
    return f"{plural(gain.people, 'person', 'people')} {one if gain.people == 1 else many} {gain.badge}"


def figures(effects: Effects) -> list[str]:
    """What becomes of the figures people stand by on leaderboards, a sentence each."""
    lines = (
        (effects.more_visits, "More camps are counted of {}."),
        (effects.fewer_visits, "Fewer camps are counted of {}."),
        (effects.longer_runs, "The longest run grows for {}."),
        (effects.shorter_runs, "The longest run gets shorter for {}."),
    )
    return [line.format(plural(number, "person", "people")) for number, line in lines if number]
