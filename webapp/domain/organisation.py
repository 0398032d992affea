"""What holds for the organisation as a whole."""

from sqlalchemy import String
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


def name() -> str:
    """What the organisation calls itself."""
    return get("name", DEFAULT_NAME)
