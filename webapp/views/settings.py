"""What holds for the organisation as a whole: its name and its time zone."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm
from wtforms import Field, SelectField, StringField

from webapp.database import writing
from webapp.domain.camps import calendar
from webapp.domain.errors import DomainError
from webapp.domain.organisation import settings
from webapp.domain.people.accounts import Role
from webapp.domain.schedule import schedule
from webapp.views.security import permits
from webapp.views.seen import changed

blueprint = Blueprint("settings", __name__, url_prefix="/office/settings")


def _time_zones() -> dict[str, list[str]]:
    """The time zones by region; the organisation's own is among them, whatever it is."""
    regions: dict[str, list[str]] = {}
    for zone in sorted({*settings.time_zones(), settings.time_zone()}):
        regions.setdefault(zone.partition("/")[0], []).append(zone)
    return regions


class OrganisationForm(FlaskForm):  # type: ignore[misc]
    """Its name and its time zone; what is wrong with them the domain says."""

    organisation = StringField("Name of your organisation")
    time_zone = SelectField("Time zone", choices=_time_zones, validate_choice=False)


def organisation_form() -> OrganisationForm:
    """The form as it was sent, or with what holds now."""
    name = settings.name() if settings.has_name() else ""
    return OrganisationForm(organisation=name, time_zone=settings.time_zone())


def save(form: OrganisationForm) -> bool:
    """Carry out what the form says; otherwise it says why not."""
    field: Field = form.organisation
    try:
        with writing():
            if changed(form.organisation):
                settings.rename(form.organisation.data or "")
            field = form.time_zone
            if changed(form.time_zone):
                schedule.change_site(calendar.default_site(), None, form.time_zone.data or "")
    except DomainError as error:
        refuse(field, error)
        return False
    return True


def refuse(field: Field, error: DomainError) -> None:
    """Say at a field why it cannot be."""
    said: Any = str(error).split("\n")
    field.errors = said


@blueprint.route("/", methods=["GET", "POST"])
@permits(Role.ADMIN)
def index() -> ResponseReturnValue:
    """The form, and what it changes."""
    form = organisation_form()
    if form.is_submitted() and form.validate() and save(form):
        flash("The settings are saved.")
        return redirect(url_for("settings.index"), 303)
    return render_template("settings/index.html", form=form), 422 if form.errors else 200
