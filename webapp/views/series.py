"""A series of camps: a rule, the dates it gives to look through, and then the camps."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import SelectField, SelectMultipleField, StringField
from wtforms.validators import DataRequired

from webapp.database import writing
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import USUAL_START, Camp, Site, Status
from webapp.domain.errors import DomainError, InvalidError
from webapp.domain.import_export.history_file import parse_date
from webapp.domain.people.accounts import Role
from webapp.domain.schedule import schedule
from webapp.domain.schedule.series import MOST_CAMPS, MOST_INTERVAL, PLACES, Frequency, Rule
from webapp.views.calendar import WEEKDAYS, CampForm, camp_form, month_of, reads, site_of
from webapp.views.confirming import Question, carried_out
from webapp.views.presentation import plural
from webapp.views.security import permits

blueprint = Blueprint("series", __name__, url_prefix="/office/camps/series")

PLACE_WORDS = {"": "every one"} | {
    str(place): word for place, word in zip(PLACES, ("first", "second", "third", "fourth", "last"), strict=True)
}


def whole_number(text: str) -> int:
    """A number in plain digits. Raises :class:`InvalidError` for anything else."""
    if text.isascii() and text.isdecimal() and len(text) <= 4:
        return int(text)
    raise InvalidError(f"“{text[:20]}” is not a whole number.")


class SeriesForm(CampForm):
    """A camp's name and time, and the rule of its dates; :attr:`camp_date` is the first day it may be held."""

    camp_date = StringField(
        "From", [DataRequired("Please choose a date."), reads(parse_date)], render_kw={"type": "date"}
    )
    interval = StringField("Every", [DataRequired("Please enter a number."), reads(whole_number)], default="1",
        render_kw={"type": "number", "min": "1", "max": str(MOST_INTERVAL)})  # fmt: skip
    frequency = SelectField("Unit", choices={each.value: each.value for each in Frequency},
        default=Frequency.WEEKS.value)  # fmt: skip
    weekdays = SelectMultipleField("On", choices={str(number): word for number, word in enumerate(WEEKDAYS)})
    place = SelectField("Of a month, on the", choices=PLACE_WORDS, default="")
    until = StringField("Last day", [reads(parse_date)], render_kw={"type": "date"})
    count = StringField(
        "Or how many camps", [reads(whole_number)], render_kw={"type": "number", "min": "1", "max": str(MOST_CAMPS)}
    )

    @property
    def rule(self) -> Rule:
        """The rule that is meant, once all fields are good."""
        return Rule(
            first=self.facts[1],
            frequency=Frequency(self.frequency.data),
            interval=whole_number(self.interval.data or ""),
            weekdays=[int(day) for day in self.weekdays.data or ()],
            place=int(self.place.data) if self.place.data else None,
            until=parse_date(self.until.data) if self.until.data else None,
            count=whole_number(self.count.data) if self.count.data else None,
        )


@dataclass(frozen=True, slots=True)
class Planned:
    """One date of a series, before anything is stored."""

    date: date
    when: str
    """``past``, ``today`` or ``coming``."""
    taken: Status | None
    """Of the camp that stands there under this name, if one does: then none is added."""
    ticked: bool


@blueprint.get("/")
@permits(Role.ADMIN)
def rule() -> ResponseReturnValue:
    """The form of the rule."""
    form = camp_form(
        SeriesForm, calendar.places(), formdata=request.args if request.args else None, meta={"csrf": False}
    )
    if not form.start_time.data:
        form.start_time.data = f"{USUAL_START:%H:%M}"
    return render_template("calendar/series.html", form=form)


@blueprint.get("/dates")
@permits(Role.ADMIN)
def dates() -> ResponseReturnValue:
    """All dates that the rule gives, each ticked. Nothing is stored yet."""
    places = calendar.places()
    form = camp_form(SeriesForm, places, formdata=request.args, meta={"csrf": False})
    if form.validate():
        try:
            return _dates_page(form, site_of(form, places), request.args.getlist("date") or None)
        except DomainError as error:
            form.form_errors = [str(error)]
    return render_template("calendar/series.html", form=form), 422


@blueprint.post("/")
@permits(Role.ADMIN)
def store() -> ResponseReturnValue:
    """Add the camps of the ticked dates; where some are past, what that changes is shown first."""
    places = calendar.places()
    form = camp_form(SeriesForm, places)
    if not form.validate():
        return render_template("calendar/series.html", form=form), 422
    site = site_of(form, places)
    try:
        return _store(form, site, sorted({parse_date(text) for text in request.form.getlist("date")}))
    except DomainError as error:
        said = [str(error)]
    try:
        page = _dates_page(form, site, request.form.getlist("date"), said)
    except DomainError:
        form.form_errors = said
        page = render_template("calendar/series.html", form=form)
    return page, 422


def _store(form: SeriesForm, site: Site, ticked: Collection[date]) -> ResponseReturnValue:
    name, _, start = form.facts
    past = [day for day in ticked if day < site.today]
    added: list[Camp] = []

    def change(entry_id: UUID | None) -> None:
        added[:] = schedule.add_series(site, name, ticked, start, entry_id=entry_id)

    if past:
        question = Question(
            title=f"Add {plural(len(ticked), 'camp')} called {name}?",
            button="Add them",
            back=url_for("series.dates", **_rule_of(form), date=[str(day) for day in ticked]),
            facts=[
                f"{plural(len(past), 'of them is', 'of them are')} in the past. Whoever came can be marked afterwards."
            ],
        )
        asked = carried_out(question, site, min(past), change)
        if asked:
            return asked
    else:
        with writing():
            change(None)
    left_out = len(ticked) - len(added)
    known = f" {plural(left_out, 'was', 'were')} there already." if left_out else ""
    flash(f"{plural(len(added), 'camp')} added.{known}", "done")
    return redirect(month_of(min(ticked)), 303)


def _dates_page(form: SeriesForm, site: Site, ticked: Collection[str] | None, said: Sequence[str] = ()) -> str:
    """The dates, all of them ticked or those; raises :class:`InvalidError` where the rule gives none."""
    found = form.rule.dates()
    name = calendar.clean_label(form.facts[0], "camp")
    taken = schedule.taken(site, name, found)
    today = site.today
    form.form_errors = list(said)
    planned = [
        Planned(
            date=day,
            when="past" if day < today else "today" if day == today else "coming",
            taken=taken.get(day),
            ticked=ticked is None or str(day) in ticked,
        )
        for day in found
    ]
    return render_template(
        "calendar/dates.html",
        form=form,
        site=site,
        planned=planned,
        carried=_rule_of(form),
        free=len(found) - len(taken),
    )


def _rule_of(form: SeriesForm) -> dict[str, Any]:
    """What the form says, as the query of an address."""
    return {field.short_name: field.data for field in form if field.data and field.short_name != "csrf_token"}
