"""The first day: an admin is led through what a new organisation needs before its first roll call."""

from dataclasses import dataclass
from datetime import date, time

from flask import Blueprint, current_app, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm
from wtforms import Field, PasswordField, StringField, TextAreaField
from wtforms.widgets import DateInput, TimeInput

from webapp.database import writing
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import USUAL_START, Camp
from webapp.domain.errors import DomainError, InvalidError
from webapp.domain.import_export.history_file import parse_date
from webapp.domain.organisation import onboarding
from webapp.domain.organisation import settings as organisations
from webapp.domain.people import accounts, credentials
from webapp.domain.people.accounts import Person, Role
from webapp.domain.schedule import schedule
from webapp.views.presentation import day, plural
from webapp.views.security import permits
from webapp.views.settings import OrganisationForm, organisation_form, refuse, save

blueprint = Blueprint("start", __name__, url_prefix="/office/start")

LINKS = "members.person"  # where one-time links for passwords are made
MOST_OFFERED = 50  # people to choose the first coordinator from, without a search
SAMPLES = 5  # people named where a text fits several


class CampForm(FlaskForm):  # type: ignore[misc]
    """The first camp."""

    camp = StringField("Name of the camp")
    camp_date = StringField("Date", widget=DateInput())
    start_time = StringField("Starts at", widget=TimeInput())
    place = StringField("Name of the place")


class PeopleForm(FlaskForm):  # type: ignore[misc]
    """People, a line each."""

    people = TextAreaField("One name a line")


class CoordinatorForm(FlaskForm):  # type: ignore[misc]
    """Who takes the roll call, and their password."""

    who = StringField("Name or book number")
    password = PasswordField("A password for them")


@dataclass
class Forms:
    """The forms of the page: as they are, or as one of them was sent."""

    organisation: OrganisationForm
    camp: CampForm
    people: PeopleForm
    coordinator: CoordinatorForm

    @classmethod
    def fresh(cls, **sent: FlaskForm) -> "Forms":
        """Those that were not sent have what holds now."""
        site = calendar.default_site()
        usual = {"camp_date": site.today.isoformat(), "start_time": f"{USUAL_START:%H:%M}", "place": site.name}
        return cls(
            organisation=sent.get("organisation") or organisation_form(),
            camp=sent.get("camp") or CampForm(None, **usual),
            people=sent.get("people") or PeopleForm(None),
            coordinator=sent.get("coordinator") or CoordinatorForm(None),
        )


@blueprint.get("/")
@permits(Role.ADMIN)
def index() -> ResponseReturnValue:
    """What is done, and what is next."""
    return _page()


@blueprint.post("/organisation")
@permits(Role.ADMIN)
def organisation() -> ResponseReturnValue:
    """Its name and time zone."""
    form = organisation_form()
    if form.validate() and save(form):
        return _done(f"{organisations.name()} it is.")
    return _page(organisation=form)


@blueprint.post("/camp")
@permits(Role.ADMIN)
def camp() -> ResponseReturnValue:
    """The first camp, and the place's name if it is to have one."""
    form = CampForm()
    added = _add_camp(form) if form.validate() else None
    if added:
        return _done(f"{added.name} is on the calendar, {day(added.camp_date)}.")
    return _page(camp=form)


@blueprint.post("/people")
@permits(Role.ADMIN)
def people() -> ResponseReturnValue:
    """Those whose names were typed."""
    form = PeopleForm()
    if form.validate():
        try:
            with writing():
                added = onboarding.add_people(form.people.data or "")
        except DomainError as error:
            refuse(form.people, error)
        else:
            return _done(f"{plural(len(added), 'person is', 'people are')} here now.")
    return _page(people=form)


@blueprint.post("/coordinator")
@permits(Role.ADMIN)
def coordinator() -> ResponseReturnValue:
    """Who takes the roll call."""
    form = CoordinatorForm()
    person = _appoint(form) if form.validate() else None
    if person:
        flash(f"{person.name} is a coordinator, and signs in with book number {person.book_no}.")
        if not form.password.data:
            return redirect(url_for(LINKS, person_id=person.id), 303)
        return redirect(url_for("start.index"), 303)
    return _page(coordinator=form)


@blueprint.post("/skip")
@permits(Role.ADMIN)
def skip() -> ResponseReturnValue:
    """Be led no more."""
    with writing():
        onboarding.skip()
    flash("You are not led here any more. Everything is in the office.")
    return redirect(url_for("office.index"), 303)


def _done(said: str) -> ResponseReturnValue:
    flash(said)
    return redirect(url_for("start.index"), 303)


def _page(**sent: FlaskForm) -> ResponseReturnValue:
    standing = onboarding.standing()
    page = render_template(
        "start/index.html",
        standing=standing,
        forms=Forms.fresh(**sent),
        open=next(iter(sent), standing.next),
        first_camp=calendar.first_camp(),
        many_sites=len(calendar.sites()) > 1,
        offered=accounts.find_some("", MOST_OFFERED),
        links=_has_links(),
    )
    return page, 422 if sent else 200


def _has_links() -> bool:
    return LINKS in current_app.view_functions


def _add_camp(form: CampForm) -> Camp | None:
    """Put it on the calendar; otherwise the form says why not."""
    field: Field = form.camp_date
    try:
        on = _date(form.camp_date.data or "")
        field = form.start_time
        at = _time(form.start_time.data or "")
        with writing():
            site = calendar.default_site()
            field = form.place
            if (form.place.data or "").strip():
                schedule.change_site(site, form.place.data or "", None)
            field = form.camp
            return schedule.add_camp(site, form.camp.data or "", on, at)
    except DomainError as error:
        refuse(field, error)
        return None


def _date(text: str) -> date:
    found = parse_date(text.strip())
    if found < calendar.default_site().today and calendar.recent_camps(1):
        raise InvalidError(
            "There are camps already; one of the past is added in the calendar, which shows what it changes."
        )
    return found


def _time(text: str) -> time:
    return calendar.parse_time(text) if text else USUAL_START


def _appoint(form: CoordinatorForm) -> Person | None:
    """Give somebody the role and a password; otherwise the form says why not."""
    field: Field = form.who
    try:
        person = _choose((form.who.data or "").strip())
        field = form.password
        given = form.password.data or ""
        password_hash = credentials.hash_password(given) if given or not _has_links() else None
        field = form.who
        with writing():
            onboarding.appoint(person)
            if password_hash:
                credentials.set_password(person, password_hash)
    except DomainError as error:
        refuse(field, error)
        return None
    return person


def _choose(text: str) -> Person:
    """The one person whom a name or number means. Raises :class:`InvalidError` where it is not one."""
    if not text:
        raise InvalidError("Say who it is.")
    found = accounts.find_some(text, SAMPLES + 1)
    if not found:
        raise InvalidError(f"Nobody matches “{text[:40]}”.")
    if len(found) > 1 and str(found[0].book_no) != text:
        named = ", ".join(f"{person.name} ({person.book_no})" for person in found[:SAMPLES])
        raise InvalidError(
            f"This fits several: {named}{' and others' if len(found) > SAMPLES else ''}. Give the number."
        )
    return found[0]
