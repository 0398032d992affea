"""Progress: how far one person is towards each badge."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from webapp.domain.badges.awards import definitions
from webapp.domain.badges.criteria import CRITERIA
from webapp.domain.badges.history import History
from webapp.domain.camps.calendar import default_site
from webapp.domain.models.badge import Award, Badge


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one person is towards one badge. ``current`` is not capped at ``required``."""

    badge: Badge
    current: int
    earned: bool

    @property
    def required(self) -> int:
        """What the badge asks for."""
        return self.badge.criteria_value

    @property
    def missing(self) -> int:
        """How many more it takes."""
        return max(0, self.required - self.current)


def progress_of(history: History, awards: Iterable[Award], today: date | None = None) -> Sequence[Progress]:
    """Say where a person stands with every active badge, by criteria value, then definition order.

    ``awards`` are those of theirs that stand, each with its camp. ``today`` is the local date that
    says which calendar year it is; the default site's unless it is given.
    """
    today = today or default_site().today
    completed = {award.badge_id: award.camp.camp_date for award in awards}
    progress = []
    for badge in definitions():
        date_completed = completed.get(badge.id)
        current = CRITERIA[badge.criteria_type].progress(history, date_completed, today)
        progress.append(Progress(badge, current, badge.id in completed))
    return progress


def next_of(progress: Iterable[Progress]) -> Progress | None:
    """Find the first badge not yet earned, or nothing when all are."""
    return next((step for step in progress if not step.earned), None)
