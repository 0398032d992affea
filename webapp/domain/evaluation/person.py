"""The general path: one person's history read once, their totals and awards brought in line with it.

Corrections, late marks, evaluations and everything that the fast path does not know go this way; for some
people as for one. For very many there is :mod:`webapp.domain.evaluation.bulk`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Table, bindparam, select, update

from webapp.database import db, insert_rows
from webapp.domain.badges import awards
from webapp.domain.badges.awards import AwardChanges
from webapp.domain.badges.history import History
from webapp.domain.models.totals import Figures, Totals
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Person


@dataclass(frozen=True, slots=True)
class Change:
    """A person's history after something changed, and before it where that was a correction."""

    person_id: UUID
    after: History
    before: History | None = None


def lock(person_ids: Sequence[UUID]) -> None:
    """Lock people with their totals until the transaction ends.

    To be called before anything is read that shall be evaluated: a fast mark of one of them is then either
    committed already, or is not written, since it finds another version of their totals.
    """
    accounts.lock(person_ids)
    locked = select(Totals.person_id).where(Totals.person_id.in_(person_ids))
    db.session.execute(locked.order_by(Totals.person_id, Totals.site_id).with_for_update()).all()


def evaluate(
    changes: Sequence[Change],
    *,
    reason: str = "",
    by: Person | None = None,
    badge_id: UUID | None = None,
    dated_back: bool = False,
) -> dict[UUID, AwardChanges]:
    """Bring totals and awards in line with histories, inside the caller's transaction.

    The people must be locked (:func:`lock`). ``reason`` and ``by`` are kept with what is revoked. With
    a ``badge_id`` nothing is done to other badges; ``dated_back`` as in :func:`awards.change`.
    """
    if not changes:
        return {}
    active = awards.definitions()
    known = awards.known_of([change.person_id for change in changes])
    if badge_id:
        active = [badge for badge in active if badge.id == badge_id]
        known = {
            person_id: {badge_id: of_person[badge_id]} if badge_id in of_person else {}
            for person_id, of_person in known.items()
        }

    outcomes = {
        change.person_id: awards.change(
            change.person_id,
            change.after,
            change.before,
            active,
            known[change.person_id],
            reason=reason,
            by=by,
            dated_back=dated_back,
        )
        for change in changes
    }
    db.session.flush()
    keep({change.person_id: change.after.figures() for change in changes})
    return outcomes


def keep(figures: Mapping[UUID, Mapping[UUID, Figures]]) -> None:
    """Store people's figures by person and site, and raise the version of all their totals."""
    if not figures:
        return
    kept = totals_of(figures.keys())
    changed: list[dict[str, Any]] = []
    new: list[dict[str, Any]] = []
    for person_id, sites in figures.items():
        for site_id in kept[person_id].keys() | sites.keys():
            row = _row(person_id, site_id, sites.get(site_id, Figures()))
            (changed if site_id in kept[person_id] else new).append(row)

    if changed:
        _update(changed)
    if new:
        insert_rows(Totals.__table__, [row | {"version": 1} for row in new])


def totals_of(person_ids: Collection[UUID]) -> dict[UUID, dict[UUID, Figures]]:
    """Read the figures that are kept of some people, by person and site."""
    kept: dict[UUID, dict[UUID, Figures]] = {person_id: {} for person_id in person_ids}
    columns = Totals.__table__.c
    names = ("visits", "longest_streak", "streak", "last_visit", "visits_in_year")
    query = select(columns.person_id, columns.site_id, *(columns[name] for name in names))
    for person_id, site_id, *values in db.session.execute(query.where(columns.person_id.in_(person_ids))):
        kept[person_id][site_id] = Figures(*values)
    return kept


def _row(person_id: UUID, site_id: UUID, figures: Figures) -> dict[str, Any]:
    return {
        "person_id": person_id,
        "site_id": site_id,
        "visits": figures.visits,
        "longest_streak": figures.longest_streak,
        "streak": figures.streak,
        "last_visit": figures.last_visit,
        "visits_in_year": figures.visits_in_year,
    }


def _update(rows: Sequence[Mapping[str, Any]]) -> None:
    table = Totals.__table__
    assert isinstance(table, Table)
    key = ("person_id", "site_id")
    given: dict[str, Any] = {name: bindparam(f"new_{name}") for name in rows[0] if name not in key}
    statement = (
        update(table)
        .where(*(table.c[name] == bindparam(f"new_{name}") for name in key))
        .values(**given, version=table.c.version + 1)
    )
    renamed = [{f"new_{name}": value for name, value in row.items()} for row in rows]
    db.session.connection().execute(statement, renamed)
