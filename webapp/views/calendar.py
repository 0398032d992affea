"""The calendar of camps: a month at a glance, the list, one camp; added, changed, cancelled and put back."""

import re
from calendar import Calendar
from collections.abc import Callable, Sequence
from datetime import date, time, timedelta
from typing import TypeVar
from uuid import UUID

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm
from wtforms import Field, Form, SelectField, StringField
from wtforms.validators import DataRequired, ValidationError

from webapp.database import db, writing
from webapp.domain.attendance import roll_call
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import USUAL_START, Camp, Site, parse_time
from webapp.domain.errors import ConflictError, DomainError, InvalidError
from webapp.domain.import_export.history_file import parse_date
from webapp.domain.models.attendance import State
from webapp.domain.people.accounts import Role
from webapp.domain.schedule import schedule
from webapp.domain.schedule.schedule import Day
from webapp.views.confirming import Question, carried_out
from webapp.views.paging import page_asked
from webapp.views.presentation import day as day_words
from webapp.views.presentation import plural
from webapp.views.security import permits
from webapp.views.seen import changed

blueprint = Blueprint("calendar", __name__, url_prefix="/office")

F = TypeVar("F", bound="CampForm")

PER_PAGE = 50
MOST_A_DAY = 6  # camps shown in one cell of the month; a link leads to the others
FIRST_YEAR, LAST_YEAR = 1900, 9998
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def reads(parse: Callable[[str], object]) -> Callable[[Form, Field], None]:
    """A validator: the field holds what this reads."""

    def check(_form: Form, field: Field) -> None:
        if field.data:
            try:
                parse(field.data)
            except InvalidError as error:
                raise ValidationError(str(error)) from None

    return check


class CampForm(FlaskForm):  # type: ignore[misc]
    """One camp. The site is asked for where there are several."""

    site = SelectField("Site")
    name = StringField("Name", [DataRequired("Please enter a name.")], render_kw={"maxlength": calendar.LONGEST_LABEL})
    camp_date = StringField(
        "Date", [DataRequired("Please choose a date."), reads(parse_date)], render_kw={"type": "date"}
    )
    start_time = StringField(
        "Starts at", [DataRequired("Please enter a time."), reads(parse_time)], render_kw={"type": "time"}
    )

    @property
    def facts(self) -> tuple[str, date, time]:
        """Name, date and start of the camp, once all fields are good."""
        return self.name.data or "", parse_date(self.camp_date.data or ""), parse_time(self.start_time.data or "")


# --- a month, and the list -----------------------------------------------------------------------


@blueprint.get("/calendar")
@permits(Role.ADMIN)
def month() -> ResponseReturnValue:
    """A month, a cell a day."""
    places = calendar.places()
    site = chosen_site(places)
    home = site or places[0]
    first = _month() or home.today.replace(day=1)
    weeks = Calendar().monthdatescalendar(first.year, first.month)
    found = schedule.days(weeks[0][0], weeks[-1][-1], site, most=MOST_A_DAY)
    shown = [camp.id for each in found.values() for camp in each.camps]
    is_empty = not any(day.month == first.month for day in found)
    return render_template(
        "calendar/month.html",
        first=first,
        days=[found.get(each) or Day(each) for week in weeks for each in week],
        weekdays=WEEKDAYS,
        todays=set(calendar.todays().values()) if not site else {site.today},
        previous=_month_before(first),
        next=_month_after(first),
        counts=roll_call.counts_of(shown),
        site=site,
        places=places,
        is_empty=is_empty,
    )


@blueprint.get("/camps/")
@permits(Role.ADMIN)
def index() -> ResponseReturnValue:
    """The camps as a list, the latest first; with ``q`` those whose name has it."""
    return render_template("calendar/index.html", **_found())


@blueprint.get("/camps/rows")
@permits(Role.ADMIN)
def rows() -> ResponseReturnValue:
    """The camps that the search found, while it is typed."""
    return render_template("calendar/_camps.html", **_found())


def _found() -> dict[str, object]:
    places = calendar.places()
    site, day = chosen_site(places), _day(request.args.get("day", ""))
    query = request.args.get("q", "")[:200]
    number = page_asked()
    page = db.paginate(schedule.find(query, site, day), page=number, per_page=PER_PAGE, error_out=False)
    counts = roll_call.counts_of([camp.id for camp in page.items])
    return {"query": query, "camps": page, "counts": counts, "places": places, "site": site, "day_shown": day}


# --- one camp ------------------------------------------------------------------------------------


@blueprint.route("/camps/new", methods=["GET", "POST"])
@permits(Role.ADMIN)
def add() -> ResponseReturnValue:
    """The form of a new camp; one of the past is shown first with what it changes."""
    places = calendar.places()
    form = camp_form(CampForm, places)
    if form.validate_on_submit():
        try:
            answer = _add(form, site_of(form, places))
        except DomainError as error:
            form.form_errors = [str(error)]
        else:
            return answer
    elif request.method == "GET":
        form.start_time.data = f"{USUAL_START:%H:%M}"
        form.camp_date.data = request.args.get("day", "")[:10]
    return render_template("calendar/add.html", form=form), 422 if form.errors else 200


def _add(form: CampForm, site: Site) -> ResponseReturnValue:
    name, day, start = form.facts
    if day < site.today:
        question = Question(
            title=f"Add {name} on {day_words(day)}?",
            button="Add it",
            back=url_for("calendar.add"),
            facts=["It is in the past. Whoever came can be marked afterwards."],
        )
        asked = carried_out(
            question, site, day, lambda entry_id: schedule.add_camp(site, name, day, start, entry_id=entry_id)
        )
        if asked:
            return asked
    else:
        with writing():
            schedule.add_camp(site, name, day, start)
    flash(f"{name} is on the calendar, {day_words(day)}.", "done")
    return redirect(month_of(day), 303)


@blueprint.route("/camps/<uuid:camp_id>", methods=["GET", "POST"])
@permits(Role.ADMIN)
def camp(camp_id: UUID) -> ResponseReturnValue:
    """One camp, and the form that changes it; another date is shown first with what it changes."""
    found = _find(camp_id)
    form = camp_form(CampForm, (), obj=None if request.method == "POST" else _Facts(found))
    if form.validate_on_submit():
        try:
            answer = _change(found, form)
        except DomainError as error:
            form.form_errors = [str(error)]
            db.session.refresh(found)
        else:
            return answer
    marked = schedule.number_marked(found)
    if marked:
        form.camp_date.render_kw = {**form.camp_date.render_kw, "readonly": True}
    return render_template(
        "calendar/camp.html",
        camp=found,
        form=form,
        counts=roll_call.counts(found),
        marked=marked,
        many_sites=len(calendar.places()) > 1,
    ), 422 if form.errors else 200


class _Facts:
    """A camp in the words of the form."""

    def __init__(self, camp: Camp) -> None:
        self.name = camp.name
        self.camp_date = str(camp.camp_date)
        self.start_time = f"{camp.start_time:%H:%M}"


def _change(camp: Camp, form: CampForm) -> ResponseReturnValue:
    typed_name, typed_day, typed_start = form.facts
    name = typed_name if changed(form.name) else None
    day = typed_day if changed(form.camp_date) else None
    start = typed_start if changed(form.start_time) else None
    if day and day != camp.camp_date:
        question = Question(
            title=f"Move {camp.name} from {day_words(camp.camp_date)} to {day_words(day)}?",
            button="Move it",
            back=url_for("calendar.camp", camp_id=camp.id),
            facts=_signed_up(camp, "signed up. They stay on its list."),
        )
        first = min(camp.camp_date, day)
        asked = carried_out(
            question,
            camp.site,
            first,
            lambda entry_id: schedule.change_camp(camp, name, day, start, entry_id=entry_id),
        )
        if asked:
            return asked
    else:
        with writing():
            schedule.change_camp(camp, name, day, start)
    flash("The changes are saved.", "done")
    return redirect(url_for("calendar.camp", camp_id=camp.id), 303)


@blueprint.post("/camps/<uuid:camp_id>/cancel")
@permits(Role.ADMIN)
def cancel(camp_id: UUID) -> ResponseReturnValue:
    """Take it off the calendar, once what that changes was shown."""
    found = _find(camp_id)
    if found.is_cancelled:
        raise ConflictError(f"{found.name} is cancelled already. Nothing was changed.")
    marked = schedule.number_marked(found)
    facts = _signed_up(found, "signed up. It is gone from their next camps.")
    if marked:
        kept = "The marks are kept, but count no more unless it is reinstated. Badges stay."
        facts.append(f"{plural(marked, 'person is', 'people are')} marked at it. {kept}")
    question = Question(
        title=f"Cancel {found.name} on {day_words(found.camp_date)}?",
        button="Cancel the camp",
        back=url_for("calendar.camp", camp_id=camp_id),
        facts=facts,
    )
    asked = carried_out(
        question, found.site, found.camp_date, lambda entry_id: schedule.cancel_camp(found, entry_id=entry_id)
    )
    if asked:
        return asked
    flash(f"{found.name} on {day_words(found.camp_date)} is cancelled.", "done")
    return redirect(url_for("calendar.camp", camp_id=camp_id), 303)


@blueprint.post("/camps/<uuid:camp_id>/reinstate")
@permits(Role.ADMIN)
def reinstate(camp_id: UUID) -> ResponseReturnValue:
    """Put it back on the calendar, once what that changes was shown."""
    found = _find(camp_id)
    if not found.is_cancelled:
        raise ConflictError(f"{found.name} is on the calendar already. Nothing was changed.")
    marked = schedule.number_marked(found)
    question = Question(
        title=f"Reinstate {found.name} on {day_words(found.camp_date)}?",
        button="Reinstate the camp",
        back=url_for("calendar.camp", camp_id=camp_id),
        facts=[f"The marks of {plural(marked, 'person', 'people')} count again."] if marked else [],
    )
    asked = carried_out(
        question, found.site, found.camp_date, lambda entry_id: schedule.reinstate_camp(found, entry_id=entry_id)
    )
    if asked:
        return asked
    flash(f"{found.name} on {day_words(found.camp_date)} is on the calendar again.", "done")
    return redirect(url_for("calendar.camp", camp_id=camp_id), 303)


def _find(camp_id: UUID) -> Camp:
    return calendar.by_id(camp_id) or abort(404)


def _signed_up(camp: Camp, what: str) -> list[str]:
    """What becomes of whoever signed up, if anybody did."""
    number = roll_call.counts(camp)[State.EXPECTED]
    return [f"{plural(number, 'person', 'people')} {what}"] if number else []


# --- what the screens of the calendar share ------------------------------------------------------


def camp_form(kind: type[F], places: Sequence[Site], **options: object) -> F:
    """A form of a camp, which asks for the site only where there is a choice."""
    form = kind(**options)
    if len(places) > 1:
        form.site.choices = {str(site.id): site.name for site in places}
        if request.method == "GET" and not form.site.data:
            form.site.data = request.args.get("site", "")
    else:
        del form.site
    return form


def site_of(form: CampForm, places: Sequence[Site]) -> Site:
    """The site that was chosen, or the only one."""
    if "site" not in form:
        return places[0]
    return next(site for site in places if str(site.id) == form.site.data)


def chosen_site(places: Sequence[Site]) -> Site | None:
    """The site that the address names, if it is one of several."""
    wanted = request.args.get("site", type=UUID)
    return next((site for site in places if site.id == wanted), None) if len(places) > 1 else None


def month_of(day: date) -> str:
    """The address of the month that a date is in."""
    return url_for("calendar.month", month=f"{day:%Y-%m}")


def _month() -> date | None:
    """The first of the month that the address names."""
    said = re.fullmatch("([0-9]{4})-([0-9]{2})", request.args.get("month", ""))
    if not said or not FIRST_YEAR <= int(said[1]) <= LAST_YEAR or not 1 <= int(said[2]) <= 12:
        return None
    return date(int(said[1]), int(said[2]), 1)


def _month_before(first: date) -> date | None:
    before = (first - timedelta(days=1)).replace(day=1)
    return before if before.year >= FIRST_YEAR else None


def _month_after(first: date) -> date | None:
    after = (first + timedelta(days=31)).replace(day=1)
    return after if after.year <= LAST_YEAR else None


def _day(text: str) -> date | None:
    try:
        return parse_date(text)
    except InvalidError:
        return None
