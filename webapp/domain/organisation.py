"""What holds for the organisation as a whole."""

from sqlalchemy import String, delete
from sqlalchemy.orm import Mapped, mapped_column

from webapp.database import Model, db

DEFAULT_NAME = "Camp Badges"


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
    put("neighbourhoods", "yes" if show else "no")


def name() -> str:
    """What the organisation calls itself."""
    return get("name", DEFAULT_NAME)
