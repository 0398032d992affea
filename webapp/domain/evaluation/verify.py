"""Verification: whatever is kept is held against a recomputation from attendance alone."""

from collections.abc import Callable, Iterator
from uuid import UUID

from sqlalchemy import select

from webapp.database import db
from webapp.domain.badges import awards
from webapp.domain.camps import calendar
from webapp.domain.evaluation import bulk
from webapp.domain.evaluation.bulk import Compared, Evaluated
from webapp.domain.models.totals import Figures
from webapp.domain.people.accounts import Person


class Verification:
    """One look through everything that is kept."""

    def __init__(self) -> None:
        self.kept_awards = 0
        """How many awards stand that today's calendar would not give. They are no differences: a camp
        that is cancelled or added takes no badge away, and what was earned before cannot be told from
        attendance alone. Those earned when something else was asked, and those of retired badges, are
        not among them."""

    def differences(self, *, progress: Callable[[int], object] = lambda _people: None) -> Iterator[str]:
        """Say whatever is kept that a recomputation does not give: totals and awards, a sentence each.
        Totals that are not known yet are no difference.
        """
        badges = awards.all_definitions()
        names = {badge.id: badge.name for badge in badges}
        versions = {badge.id: badge.version for badge in badges if badge.is_active}
        sites = {site.id: site.name for site in calendar.sites()}
        for among in bulk.slices(None):
            wrong = {}
            for compared in bulk.compare(among):
                found = [*_wrong_awards(compared, names), *_wrong_totals(compared, sites)]
                if found:
                    wrong[compared.person_id] = found
                self.kept_awards += _number_kept(compared, versions)
            yield from _named(wrong)
            progress(len(among.ids))


def differences() -> list[str]:
    """Say all differences at once."""
    return list(Verification().differences())


def repair(*, progress: Callable[[int], object] = lambda _people: None) -> None:
    """Mend whatever is different, inside the caller's transaction."""
    done = Evaluated()
    told = 0
    last: UUID | None = None
    while last := bulk.evaluate_next(last, done):
        progress(done.people - told)
        told = done.people


def _number_kept(compared: Compared, versions: dict[UUID, int]) -> int:
    kept = compared.awards.keys() - compared.due.keys()
    if not kept or compared.is_plain:
        return len(kept)
    known = awards.known_of([compared.person_id])[compared.person_id]
    return sum(known[badge_id].award.version == versions.get(badge_id) for badge_id in kept)


def _wrong_awards(compared: Compared, names: dict[UUID, str]) -> Iterator[str]:
    for badge_id in compared.due.keys() - compared.awards.keys():
        yield f"{names[badge_id]} is earned and not awarded."
    for badge_id in compared.moved(compared.due):
        yield f"{names[badge_id]} names another camp than completed it."


def _wrong_totals(compared: Compared, sites: dict[UUID, str]) -> Iterator[str]:
    if not compared.kept:
        return  # they are not known yet
    for site_id, figures in compared.figures.items():
        if compared.kept.get(site_id, Figures()) != figures:
            yield f"the totals at {sites[site_id]} are kept wrongly."


def _named(wrong: dict[UUID, list[str]]) -> Iterator[str]:
    """Say whose each difference is, by book number."""
    for start in range(0, len(wrong), bulk.IN_PLACE):
        ids = list(wrong)[start : start + bulk.IN_PLACE]
        query = select(Person.id, Person.book_no).where(Person.id.in_(ids)).order_by(Person.book_no)
        for person_id, book_no in db.session.execute(query):
            yield from (f"book number {book_no}: {each}" for each in sorted(wrong[person_id]))
