"""People as an admin looks after them: added, renamed, switched off, imported, forgotten; links for passwords."""

import csv
from io import StringIO
from uuid import UUID

from flask import Blueprint, Response, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from itsdangerous import BadSignature, URLSafeTimedSerializer
from wtforms import SelectField, StringField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than the stubs
from wtforms.validators import DataRequired

from webapp import clock, worker
from webapp.database import writing
from webapp.domain.errors import ConflictError, DomainError, InvalidError
from webapp.domain.import_export import people_file
from webapp.domain.import_export.people_file import LARGEST_FILE, Preview
from webapp.domain.people import accounts, credentials
from webapp.domain.people.accounts import Person, Role
from webapp.domain.privacy import erasure
from webapp.views.errors import answer
from webapp.views.job_words import duration
from webapp.views.security import permits, secret, viewer
from webapp.views.seen import changed

blueprint = Blueprint("members", __name__, url_prefix="/office/people")

SHOWN = 50  # rows of each kind in a preview
LONGEST_TITLE = 80  # characters of a file's name
# A file that was looked at comes back with the page, in letters, a third longer than its bytes; and what is
# around it.
MOST_BYTES = LARGEST_FILE * 3 // 2
KEPT_FOR = 12 * 3600  # seconds a preview may stay open


class PersonForm(FlaskForm):  # type: ignore[misc]
    """Name and account role."""

    name = StringField("Name", [DataRequired("Please enter a name.")])
    role = SelectField("Account role", choices=[SelectChoice(role.value, role.value.capitalize()) for role in Role])


class NewPersonForm(PersonForm):
    """And a book number, unless any will do."""

    book_no = StringField("Book number")


class BookNumberForm(FlaskForm):  # type: ignore[misc]
    """The book number of who is meant."""

    book_no = StringField("Type their book number")


class FileForm(FlaskForm):  # type: ignore[misc]
    """A file."""

    file = FileField()


@blueprint.url_value_preprocessor
def _limit(endpoint: str | None, _values: object) -> None:
    """How much may be sent. It is said before the form is read, which looking for the CSRF token does."""
    if endpoint in ("members.import_file", "members.store", "members.problems"):
        request.max_content_length = request.max_form_memory_size = MOST_BYTES


@blueprint.errorhandler(413)
def _too_large(_error: object) -> Response:
    return answer(413, f"The file has more than {LARGEST_FILE:,} bytes. Cut it into several. Nothing was stored.")


@blueprint.route("/add", methods=["GET", "POST"])
@permits(Role.ADMIN)
def add() -> ResponseReturnValue:
    """Somebody new."""
    form = NewPersonForm(role=Role.VOLUNTEER.value)
    if form.validate_on_submit():
        person = _add(form)
        if person:
            flash(f"{person.name} has book number {person.book_no}. To sign in they need a password: make them a link.")
            return _to(person)
    return render_template("members/add.html", form=form), 422 if form.errors else 200


@blueprint.route("/<uuid:person_id>", methods=["GET", "POST"])
@permits(Role.ADMIN)
def person(person_id: UUID) -> ResponseReturnValue:
    """One person's account; name and role are changed here."""
    found = _find(person_id)
    form = PersonForm(name=found.name, role=found.role.value)
    if form.is_submitted():
        accounts.must_be_known(found)
    if form.validate_on_submit() and _change(found, form):
        flash("Saved.")
        return _to(found)
    link = credentials.open_link_of(found)
    page = render_template(
        "members/page.html",
        person=found,
        form=form,
        link=link,
        link_works_for=duration(link.expires_at - clock.now()) if link else "",
    )
    return page, 422 if form.errors else 200


@blueprint.post("/<uuid:person_id>/switch")
@permits(Role.ADMIN)
def switch(person_id: UUID) -> ResponseReturnValue:
    """The account off, or on again."""
    found, on = _find(person_id), request.form.get("on")
    if on not in ("yes", "no"):
        raise InvalidError("It was not said whether the account is to be on. Reload the page and try again.")
    with writing():
        accounts.reactivate(found) if on == "yes" else accounts.deactivate(found)
    flash(f"{found.name}’s account is {'on again' if on == 'yes' else 'switched off'}.")
    return _to(found)


@blueprint.post("/<uuid:person_id>/link")
@permits(Role.ADMIN)
def link(person_id: UUID) -> ResponseReturnValue:
    """A one-time link for a password. It is in this answer and nowhere else, so that none leads here again."""
    found = _find(person_id)
    with writing():
        made = credentials.make_link(found, by=viewer())
    address = url_for("accounts.choose_password", link=made, _external=True)
    return render_template("members/link.html", person=found, address=address)


@blueprint.route("/<uuid:person_id>/anonymise", methods=["GET", "POST"])
@permits(Role.ADMIN)
def anonymise(person_id: UUID) -> ResponseReturnValue:
    """What it means to forget somebody, and doing it."""
    found, form = _find(person_id), BookNumberForm()
    accounts.must_be_known(found)
    if form.validate_on_submit():
        if (form.book_no.data or "").strip() != str(found.book_no):
            form.book_no.errors = [f"This is not the book number of {found.name}. Nothing was changed."]
        else:
            with writing():
                erasure.anonymise(found)
            flash("The name is gone. What they did is counted still.")
            if not erasure.overwrite():
                flash(
                    "The database is busy, so that its file may hold the name where nothing is read any more. "
                    "That is overwritten in time, or with the next person who is anonymised.",
                    "refused",
                )
            return _to(found)
    partly = erasure.partly_named(found)
    page = render_template("members/anonymise.html", person=found, form=form, partly=partly, most=SHOWN)
    return page, 422 if form.errors else 200


@blueprint.route("/import", methods=["GET", "POST"])
@permits(Role.ADMIN)
def import_file() -> ResponseReturnValue:
    """A file of people: chosen, and looked at before anything is stored."""
    form = FileForm()
    if form.validate_on_submit():
        file = form.file.data
        content = file.read() if file else b""
        title = " ".join((file.filename or "").split())[:LONGEST_TITLE] if file else ""
        if not file:
            form.file.errors = ["Please choose a file."]
        else:
            try:
                return _preview(people_file.preview(content), content, title or "File")
            except InvalidError as error:
                form.file.errors = [str(error)]
    return render_template("members/import.html", form=form), 422 if form.errors else 200


@blueprint.post("/import/store")
@permits(Role.ADMIN)
def store() -> ResponseReturnValue:
    """Have the people of a file added that was looked at."""
    content, title = _unsealed()
    found = people_file.preview(content)
    try:
        with writing():
            job = people_file.begin(found, by=viewer(), title=title, keep_good=request.form.get("keep_good") == "yes")
    except ConflictError as error:
        return _preview(found, content, title, refused=str(error)), 409
    worker.enqueue(job.id)
    return redirect(url_for("jobs.job", job_id=job.id), 303)


@blueprint.post("/import/problems")
@permits(Role.ADMIN)
def problems() -> ResponseReturnValue:
    """All bad lines of a file that was looked at, as CSV."""
    found = people_file.preview(_unsealed()[0])
    text = StringIO()
    table = csv.writer(text)
    table.writerow(("line", "reason"))
    table.writerows((problem.line, problem.reason) for problem in found.problems)
    headers = {"Content-Disposition": 'attachment; filename="bad-lines.csv"'}
    return Response("\ufeff" + text.getvalue(), mimetype="text/csv", headers=headers)  # by the mark Excel knows UTF-8


def _find(person_id: UUID) -> Person:
    return accounts.by_id(person_id) or abort(404)


def _to(person: Person) -> ResponseReturnValue:
    return redirect(url_for("members.person", person_id=person.id), 303)


def _add(form: NewPersonForm) -> Person | None:
    """The new person; otherwise the form says why not."""
    try:
        text = (form.book_no.data or "").strip()
        book_no = accounts.parse_book_no(text) if text else None
    except InvalidError as error:
        form.book_no.errors = [str(error)]
        return None
    try:
        with writing():
            return accounts.add_person(form.name.data or "", book_no=book_no, role=Role(form.role.data))
    except ConflictError as error:
        form.book_no.errors = [str(error)]
    except InvalidError as error:
        form.name.errors = [str(error)]
    return None


def _change(person: Person, form: PersonForm) -> bool:
    """Store what was changed of name and role; otherwise the form says why not."""
    try:
        with writing():
            if changed(form.name):
                accounts.rename(person, form.name.data or "")
            if changed(form.role):
                accounts.change_role(person, Role(form.role.data))
        return True
    except ConflictError as error:
        form.role.errors = [str(error)]
    except DomainError as error:
        form.name.errors = [str(error)]
    return False


# --- a file between being looked at and being stored: the page keeps it, sealed ------------------------------


def _seal() -> URLSafeTimedSerializer:
    """Signs, and compresses. Only who looked at a file can store it."""
    return URLSafeTimedSerializer(secret(), salt=f"camp-badges people file {viewer().id}")


def _preview(found: Preview, content: bytes, title: str, refused: str = "") -> str:
    sealed = _seal().dumps([title, content.decode("utf-8-sig")])
    return render_template("members/preview.html", found=found, title=title, sealed=sealed, refused=refused, most=SHOWN)


def _unsealed() -> tuple[bytes, str]:
    try:
        title, text = _seal().loads(request.form.get("sealed", ""), max_age=KEPT_FOR)
    except BadSignature:
        raise InvalidError("This preview is too old or somebody else’s. Choose the file again.") from None
    return text.encode(), title
