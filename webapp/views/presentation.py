"""What every template has at hand: dates as people say them, addresses of static files, the menu."""

import hashlib
from datetime import date, datetime
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from flask import Flask, current_app, url_for

from webapp.domain import organisation
from webapp.domain.accounts import Person, Role
from webapp.domain.attendance import CampRole, State
from webapp.views.security import signed_in

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
    ],
}


def init_app(app: Flask) -> None:
    """Filters and globals of the templates."""
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    app.add_template_filter(day)
    app.add_template_filter(plural)
    app.add_template_filter(clock_time)
    app.add_template_global(static_url)
    app.jinja_env.globals.update(CampRole=CampRole, State=State)
    app.context_processor(_shared)


def _shared() -> dict[str, object]:
    person = signed_in()
    if person is None:
        return {"viewer": None, "menu": []}
    return {"viewer": person, "menu": menu(person), "organisation": organisation.name()}


def menu(person: Person) -> list[tuple[str, str, str]]:
    """The two or three places somebody's role needs: endpoint, word and icon."""
    return MENUS[person.role]


def day(value: date, today: date | None = None) -> str:
    """``Sun 12 April 2026``; relative only for today and yesterday, where ``today`` is given."""
    if today and value == today:
        return "today"
    if today and (today - value).days == 1:
        return "yesterday"
    return f"{value:%a} {value.day} {value:%B %Y}"


def clock_time(instant: datetime, time_zone: str) -> str:
    """An instant as the time on a site's clock, ``14:05``."""
    return f"{instant.astimezone(ZoneInfo(time_zone)):%H:%M}"


def plural(number: int, one: str, many: str | None = None) -> str:
    """``1 camp``, ``2 camps``, ``1,200 camps``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def static_url(name: str) -> str:
    """The address of a static file, with its content's hash so that it can be kept for good."""
    return url_for("static", filename=name, v=_hash(str(current_app.static_folder), name))


@cache
def _hash(folder: str, name: str) -> str:
    file = Path(folder) / name
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12] if file.exists() else "missing"
