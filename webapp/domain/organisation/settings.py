"""What holds for the organisation as a whole."""

from functools import cache
from zoneinfo import available_timezones

from sqlalchemy import String, delete
from sqlalchemy.orm import Mapped, mapped_column

from webapp.database import Model, db
from webapp.domain import audit
from webapp.domain.audit import Action
from webapp.domain.camps import calendar
from webapp.domain.errors import InvalidError

DEFAULT_NAME = "Camp Badges"
LONGEST_NAME = 60  # characters; it stands in the head of every page and on every card
TOTALS = "totals"  # the setting by which an upgrade says that totals are to be filled
TO_BE_FILLED = "to be filled"  # its value until the first are; then the id of the last person
REGIONS = ("Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")


class Setting(Model):
    """One named value."""

    __tablename__ = "setting"

    key: Mapped[str] = mapped_column(String(40), primary_key=True)
    value: Mapped[str] = mapped_column(String(200))


def get(key: str, default: str = "") -> str:
    """The value kept under a key."""
    setting = db.session.get(Setting, key)
    return setting.value if setting else default


def put(key: str, value: str) -> None:
    """Keep a value under a key."""
    db.session.merge(Setting(key=key, value=value))
    db.session.flush()


def drop(key: str) -> None:
    """Forget the value kept under a key."""
    db.session.execute(delete(Setting).where(Setting.key == key))


def shows_neighbourhoods() -> bool:
    """Whether volunteers see where they stand on the leaderboard. They do not until an admin wishes it."""
    return get("neighbourhoods") == "yes"


def show_neighbourhoods(show: bool) -> None:
    """Let volunteers see where they stand, or not."""
    _set("neighbourhoods", "yes" if show else "no", before="yes" if shows_neighbourhoods() else "no")


def name() -> str:
    """What the organisation calls itself."""
    return get("name", DEFAULT_NAME)


def has_name() -> bool:
    """Whether it has said what it is called."""
    return bool(get("name"))


def rename(text: str) -> None:
    """Say what the organisation is called.

    Raises :class:`InvalidError` where nothing is left of the name, it is longer than :data:`LONGEST_NAME`
    characters, or it holds characters that cannot be shown.
    """
    cleaned = " ".join(text.split())
    if not cleaned:
        raise InvalidError("An organisation needs a name.")
    if len(cleaned) > LONGEST_NAME:
        raise InvalidError(f"This name has {len(cleaned):,} characters; at most {LONGEST_NAME} fit.")
    if not cleaned.isprintable():
        raise InvalidError("This name holds characters that cannot be shown.")
    _set("name", cleaned, before=get("name"))


def time_zone() -> str:
    """The IANA time zone the organisation lives by: its first site's."""
    return calendar.default_site().time_zone


@cache
def time_zones() -> tuple[str, ...]:
    """The time zones to choose from, by name."""
    return tuple(sorted(zone for zone in available_timezones() if zone.partition("/")[0] in REGIONS))


def _set(key: str, value: str, *, before: str) -> None:
    if value != before:
        put(key, value)
        audit.note(Action.SETTINGS_CHANGED, details={key: value, "before": before})
