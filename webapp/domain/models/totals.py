"""Totals: what is kept of one person at one site, so that a mark costs the same at any history."""

from datetime import date
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from webapp.database import Model


class Figures(NamedTuple):
    """What attendance gives one person at one site; :class:`Totals` keeps it."""

    visits: int = 0
    longest_streak: int = 0
    streak: int = 0
    """The streak that ends with the last visit. Whether a date was missed since, the calendar tells."""
    last_visit: date | None = None
    """By the site's local date."""
    visits_in_year: int = 0
    """Visits in the calendar year of the last visit."""


class Totals(Model):
    """One person's figures at one site. A missing row means that they are not known yet.

    Whoever changes anything of a person's marks or awards raises the version of all their rows, so
    that a fast mark that was decided on older facts is not written
    (:mod:`webapp.domain.attendance.fast_path`). No index besides the key, and room on each page (a
    migration sets the fillfactor to 80): PostgreSQL then updates a row in place (HOT).
    """

    __tablename__ = "totals"

    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"), primary_key=True)
    site_id: Mapped[UUID] = mapped_column(ForeignKey("site.id"), primary_key=True)
    visits: Mapped[int]
    longest_streak: Mapped[int]
    streak: Mapped[int]
    last_visit: Mapped[date | None]
    visits_in_year: Mapped[int]
    version: Mapped[int] = mapped_column(default=1)

    @property
    def figures(self) -> Figures:
        """What is kept, as a value."""
        return Figures(self.visits, self.longest_streak, self.streak, self.last_visit, self.visits_in_year)
