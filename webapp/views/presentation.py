"""What every template has at hand: dates as people say them, addresses of static files, the menu."""

import hashlib
from datetime import date, datetime
from functools import cache, lru_cache
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import segno
from flask import Flask, current_app, url_for
from markupsafe import Markup

from webapp.domain.badges import criteria
from webapp.domain.camps.calendar import Camp
from webapp.domain.models.attendance import CampRole, State
from webapp.domain.models.badge import Requirement
from webapp.domain.organisation import settings
from webapp.domain.people import cards
from webapp.domain.people.accounts import Person, Role
from webapp.views.security import secret, signed_in

NOBODY = UUID(int=0)  # stands in an address for whoever comes there

MENUS: dict[Role, list[tuple[str, str, str]]] = {
    # endpoint, word, icon
    Role.VOLUNTEER: [("cabinet.own", "My badges", "medal"), ("accounts.account", "Account", "person")],
    Role.COORDINATOR: [
        ("roll_call.today", "Roll call", "check"),
        ("people.index", "People", "people"),
        ("cabinet.own", "My badges", "medal"),
    ],
    Role.ADMIN: [
        ("leaderboard.index", "Leaderboard", "chart"),
        ("roll_call.today", "Roll call", "check"),
        ("people.index", "People", "people"),
        ("office.index", "Office", "desk"),
    ],
}


def init_app(app: Flask) -> None:
    """Filters and globals of the templates."""
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    app.add_template_filter(day)
    app.add_template_filter(plural)
    app.add_template_filter(asks)
    app.add_template_filter(criterion_suffix)
    app.add_template_global(criteria_choices)
    app.add_template_filter(sentence)
    app.add_template_filter(clock_time)
    app.add_template_filter(micros)
    app.add_template_global(static_url)
    app.add_template_global(way_to)
    app.add_template_global(search_word)
    app.add_template_global(mark_addresses)
    app.add_template_global(card_digest)
    app.add_template_global(qr_code)
    app.add_template_global(qr_picture)
    app.add_template_global(menu)
    app.add_template_global(settings.name, "organisation_name")
    app.jinja_env.globals.update(CampRole=CampRole, State=State)
    app.context_processor(_shared)


def _shared() -> dict[str, object]:
    return {"viewer": signed_in()}


def menu(person: Person) -> list[tuple[str, str, str]]:
    """The two or three places somebody's role needs: endpoint, word and icon."""
    places = MENUS[person.role]
    if person.role is Role.VOLUNTEER and settings.shows_neighbourhoods():
        return [places[0], ("leaderboard.mine", "Where I stand", "chart"), *places[1:]]
    return places


def day(value: date, today: date | None = None) -> str:
    """``Sun 12 April 2026``; relative only for today and yesterday, where ``today`` is given."""
    if today and value == today:
        return "today"
    if today and (today - value).days == 1:
        return "yesterday"
    return _written(value)


@lru_cache(maxsize=1_024)  # a page says the same dates again and again
def _written(value: date) -> str:
    return f"{value:%a} {value.day} {value:%B %Y}"


def clock_time(instant: datetime, time_zone: str) -> str:
    """An instant as the time on a site's clock, ``14:05``."""
    return f"{instant.astimezone(ZoneInfo(time_zone)):%H:%M}"


def micros(instant: datetime) -> int:
    """An instant in microseconds since 1970, as the live pages count."""
    return int(instant.timestamp() * 1_000_000)


def search_word(person: Person) -> str:
    """What a name is searched by, where a page's script cannot tell from the name itself."""
    return "" if person.search_name == person.name.lower() else person.search_name


def mark_addresses(camp: Camp) -> str:
    """The address of everybody's mark at a camp, to which a person's id is added.

    The router takes longer for one address than a row takes for all the rest.
    """
    return url_for("roll_call.mark", camp_id=camp.id, person_id=NOBODY).removesuffix(str(NOBODY))


def card_digest(person: Person) -> str:
    """By what a page's script knows somebody's card again."""
    return cards.digest_of(person, secret())


def qr_code(person: Person) -> Markup:
    """Somebody's QR code. Error correction M: a creased card reads."""
    return qr_picture(cards.text_of(person, secret()))


def qr_picture(text: str) -> Markup:
    """A text as a QR code, an SVG picture as large as its place."""
    code = segno.make(text, error="m", micro=False)
    return Markup(code.svg_inline(omitsize=True, border=4, svgclass="qr", lineclass=None, dark="#000", light="#fff"))  # noqa: S704 - squares alone


def plural(number: int, one: str, many: str | None = None) -> str:
    """``1 camp``, ``2 camps``, ``1,200 camps``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def way_to(endpoint: str) -> str | None:
    """The address of a screen, where this installation has it."""
    return url_for(endpoint) if endpoint in current_app.view_functions else None


def criteria_choices() -> list[tuple[str, str]]:
    """What badges may count: the key, and what the form calls it."""
    return [(criterion.key, criterion.choice) for criterion in criteria.CRITERIA.values()]


def criterion_suffix(criteria_type: str) -> str:
    """What follows the number of camps of a badge, such as `` in a row``."""
    return criteria.CRITERIA[criteria_type].suffix


def asks(asked: Requirement) -> str:
    """What a badge asks for: ``5 camps``, ``3 camps in a row``."""
    return criteria.asks(*asked)


def sentence(text: str) -> str:
    """A text with a full stop, unless it ends with a mark of its own."""
    return text if text.endswith((".", "!", "?", "…", "।", "॥")) else f"{text}."


def static_url(name: str) -> str:
    """The address of a static file, with its content's hash so that it can be kept for good."""
    return url_for("static", filename=name, v=_hash(str(current_app.static_folder), name))


@cache
def _hash(folder: str, name: str) -> str:
    file = Path(folder) / name
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12] if file.exists() else "missing"
