"""Badge definitions with their versions, awards, and what was taken away."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, String, and_, false, or_
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.sql.elements import ColumnElement

from webapp import clock
from webapp.database import Instant, Model
from webapp.domain.camps.calendar import Camp
from webapp.infra.ids import new_id


class Requirement(NamedTuple):
    """What a badge asks for: a key of :data:`webapp.domain.badges.criteria.CRITERIA`, and how many."""

    criteria_type: str
    criteria_value: int


class Badge(Model):
    """A definition. The artwork is composed: shape, metal, ribbon and emblem of one medal."""

    __tablename__ = "badge"
    __table_args__ = (CheckConstraint("criteria_value > 0", name="criteria_value_positive"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(60), unique=True)
    description: Mapped[str] = mapped_column(String(200))
    criteria_type: Mapped[str] = mapped_column(String(24))
    criteria_value: Mapped[int]
    position: Mapped[int]
    shape: Mapped[str] = mapped_column(String(16))
    metal: Mapped[str] = mapped_column(String(16))
    ribbon: Mapped[str] = mapped_column(String(16))
    emblem: Mapped[str] = mapped_column(String(16))
    is_active: Mapped[bool] = mapped_column(default=True)
    # Goes up when the criteria change; see BadgeVersion.
    version: Mapped[int] = mapped_column(default=1)

    @property
    def requirement(self) -> Requirement:
        """What it asks for now."""
        return Requirement(self.criteria_type, self.criteria_value)


class BadgeVersion(Model):
    """What a badge asked for in one of its versions. An award keeps the one it was earned under."""

    __tablename__ = "definition"

    badge_id: Mapped[UUID] = mapped_column(ForeignKey("badge.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    criteria_type: Mapped[str] = mapped_column(String(24))
    criteria_value: Mapped[int]
    since: Mapped[datetime] = mapped_column(Instant, default=clock.now)

    @property
    def requirement(self) -> Requirement:
        """What it asked for."""
        return Requirement(self.criteria_type, self.criteria_value)

    @classmethod
    def differs_from(cls, badge: Badge | type[Badge]) -> ColumnElement[bool]:
        """Build the condition that a version asked for something else than a badge does now."""
        return or_(cls.criteria_type != badge.criteria_type, cls.criteria_value != badge.criteria_value)


class Award(Model):
    """One badge earned by one person, once: that is its key. It is never erased, only revoked;
    earned again, it returns.
    """

    __tablename__ = "award"

    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"), primary_key=True)
    badge_id: Mapped[UUID] = mapped_column(ForeignKey("badge.id"), primary_key=True)
    camp_id: Mapped[UUID] = mapped_column(ForeignKey("camp.id"))
    earned_at: Mapped[datetime] = mapped_column(Instant)
    revoked_at: Mapped[datetime | None] = mapped_column(Instant)
    version: Mapped[int] = mapped_column(default=1, server_default="1")
    """The badge's version under which it was earned."""
    found_later: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Awarded long after the visit, by an import or a backfill, or by a mark that came before the
    backfill did: nobody celebrates it."""
    badge: Mapped[Badge] = relationship(lazy="joined", innerjoin=True)
    camp: Mapped[Camp] = relationship()

    @classmethod
    def under(cls) -> ColumnElement[bool]:
        """Build the condition that joins an award to the version it was earned under."""
        return and_(BadgeVersion.badge_id == cls.badge_id, BadgeVersion.version == cls.version)


class Revocation(Model):
    """Who took an award away, when and why. It stays when the award returns."""

    __tablename__ = "revocation"
    __table_args__ = (
        ForeignKeyConstraint(["person_id", "badge_id"], ["award.person_id", "award.badge_id"]),
        Index(None, "person_id", "badge_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    person_id: Mapped[UUID]
    badge_id: Mapped[UUID]
    revoked_at: Mapped[datetime] = mapped_column(Instant)
    revoked_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    reason: Mapped[str] = mapped_column(String(200))
    returned_at: Mapped[datetime | None] = mapped_column(Instant)
