"""Sites: the places that hold camps. None is ever deleted. Where there is one, nobody reads the word."""

from uuid import UUID
from zoneinfo import ZoneInfo

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm
from wtforms import SelectField, StringField
from wtforms.validators import DataRequired

from webapp import clock
from webapp.database import db, writing
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import Site
from webapp.domain.errors import DomainError
from webapp.domain.people.accounts import Role
from webapp.domain.schedule import schedule
from webapp.views.paging import page_asked
from webapp.views.security import permits
from webapp.views.seen import changed

blueprint = Blueprint("sites", __name__, url_prefix="/office/sites")

PER_PAGE = 50


class SiteForm(FlaskForm):  # type: ignore[misc]
    """A name, and an IANA time zone. The list is so long that a wrong one is told by the domain, in its words."""

    name = StringField("Name", [DataRequired("Please enter a name.")], render_kw={"maxlength": calendar.LONGEST_LABEL})
    time_zone = SelectField("Time zone", validate_choice=False)


@blueprint.get("/")
@permits(Role.ADMIN)
def index() -> ResponseReturnValue:
    """All sites by name; the only one has no name that anybody knows."""
    if not _many():
        return redirect(url_for("calendar.month"), 303)
    number = page_asked()
    page = db.paginate(calendar.find_places(), page=number, per_page=PER_PAGE, error_out=False)
    numbers = schedule.numbers_at([site.id for site in page.items])
    return render_template("sites/index.html", sites=page, numbers=numbers)


@blueprint.route("/new", methods=["GET", "POST"])
@permits(Role.ADMIN)
def add() -> ResponseReturnValue:
    """The form of another place."""
    form = _form()
    if form.validate_on_submit():
        try:
            with writing():
                site = schedule.add_site(form.name.data or "", form.time_zone.data or "")
        except DomainError as error:
            form.form_errors = [str(error)]
        else:
            flash(f"{site.name} is there. Its camps are added in the calendar.", "done")
            return redirect(url_for("sites.index"), 303)
    elif request.method == "GET":
        form.time_zone.data = calendar.places()[0].time_zone
    return render_template("sites/form.html", form=form, site=None, many_sites=_many()), 422 if form.errors else 200


@blueprint.route("/<uuid:site_id>", methods=["GET", "POST"])
@permits(Role.ADMIN)
def site(site_id: UUID) -> ResponseReturnValue:
    """One site, and the form that changes its name and time zone; of the only one no name is known."""
    found = calendar.site_by_id(site_id) or abort(404)
    form = _form(None if request.method == "POST" else found)
    if not _many():
        del form.name
    if form.validate_on_submit():
        try:
            with writing():
                name = form.name.data or "" if "name" in form and changed(form.name) else None
                zone = form.time_zone.data or "" if changed(form.time_zone) else None
                schedule.change_site(found, name, zone)
        except DomainError as error:
            form.form_errors = [str(error)]
            db.session.refresh(found)
        else:
            flash(f"Saved. There it is {clock.now().astimezone(ZoneInfo(found.time_zone)):%H:%M} now.", "done")
            return redirect(url_for("sites.site", site_id=site_id), 303)
    return render_template("sites/form.html", form=form, site=found, many_sites=_many()), 422 if form.errors else 200


def _form(site: Site | None = None) -> SiteForm:
    form = SiteForm(obj=site)
    regions: dict[str, dict[str, str]] = {}
    for zone in sorted(calendar.time_zones()):
        region, slash, _ = zone.partition("/")
        regions.setdefault(region if slash else "Others", {})[zone] = zone.replace("_", " ")
    form.time_zone.choices = regions
    return form


def _many() -> bool:
    return len(calendar.places()) > 1
