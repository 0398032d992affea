"""Signing in and out, one's password, and one's data to take along."""

import json

from flask import Blueprint, Response, abort, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import login_user, logout_user
from flask_wtf import FlaskForm
from limits import parse_many
from wtforms import PasswordField, StringField
from wtforms.validators import DataRequired

from webapp.database import writing
from webapp.domain.errors import InvalidError
from webapp.domain.people import accounts, credentials
from webapp.domain.people.accounts import Person, Role
from webapp.domain.people.credentials import LinkOver
from webapp.domain.privacy import data_export
from webapp.views import rate_limits
from webapp.views.home import first_place
from webapp.views.rate_limits import limited
from webapp.views.security import SessionPerson, path_of, permits, public, signed_in, viewer

blueprint = Blueprint("accounts", __name__)

WRONG = "Book number and password do not match. Please try again."
# An address is counted by failures only: forty volunteers of one camp share theirs, and each may sign in.
PER_ADDRESS = "60/minute;600/hour"
# An account is counted by attempts, before each is looked at, so that many at once gain nothing; a success
# wipes the count. Page, API and change of password count together.
PER_ACCOUNT = parse_many("10/minute;50/hour")


class SignInForm(FlaskForm):  # type: ignore[misc]
    """Book number and password."""

    book_no = StringField("Book number", [DataRequired("Please enter your book number.")])
    password = PasswordField("Password", [DataRequired("Please enter your password.")])


class ChangePasswordForm(FlaskForm):  # type: ignore[misc]
    """The present password, and the new one twice."""

    present = PasswordField("Present password", [DataRequired("Please enter your present password.")])
    new = PasswordField("New password", [DataRequired("Please enter a new password.")])
    again = PasswordField("New password, once more", [DataRequired("Please enter the new password once more.")])


class ChoosePasswordForm(FlaskForm):  # type: ignore[misc]
    """A first or forgotten password, twice."""

    new = PasswordField("New password", [DataRequired("Please enter a new password.")])
    again = PasswordField("New password, once more", [DataRequired("Please enter the new password once more.")])


def failed(response: Response) -> bool:
    """Whether a sign-in, or the use of a link, counts towards the limits."""
    return response.status_code in (401, 410, 422)


def count_attempt(book_no: int) -> None:
    """Count an attempt on an account; after too many the request ends with 429."""
    counter = rate_limits.counter()
    if not all(counter.hit(limit, "account", str(book_no)) for limit in PER_ACCOUNT):
        abort(429)


def forget_attempts(book_no: int) -> None:
    """Start the count of an account anew, after a success."""
    for limit in PER_ACCOUNT:
        rate_limits.counter().clear(limit, "account", str(book_no))


def authenticate(book_no: int, password: str) -> Person | None:
    """The person with this book number and password, if any; every attempt counts towards the limit."""
    count_attempt(book_no)
    person = credentials.authenticate(book_no, password)
    if person:
        forget_attempts(book_no)
    return person


@blueprint.route("/sign-in", methods=["GET", "POST"])
@limited(PER_ADDRESS, methods=["POST"], counts=failed)
@public
def sign_in() -> ResponseReturnValue:
    """The form, and the way in."""
    form = SignInForm()
    target = path_of(request.values.get("next", ""))
    if request.method == "GET":
        person = signed_in()
        if person:
            return redirect(target or first_place(person))
    elif form.validate_on_submit():
        person = _authenticate(form.book_no.data or "", form.password.data or "")
        if person:
            _let_in(person)
            return redirect(target or first_place(person))
        form.password.errors = [WRONG]
    page = render_template("accounts/sign_in.html", form=form, target=target, is_new=accounts.is_nobody_here())
    return page, 422 if form.errors else 200


@blueprint.post("/sign-out")
@public
def sign_out() -> ResponseReturnValue:
    """End the session on this device."""
    logout_user()
    session.clear()
    return redirect(url_for("accounts.sign_in"))


@blueprint.route("/account", methods=["GET", "POST"])
@permits(*Role)
def account() -> ResponseReturnValue:
    """Who one is here, and the change of one's password, which ends all other sessions."""
    form = ChangePasswordForm()
    if form.validate_on_submit() and _change_password(viewer(), form):
        flash("Your password is changed. Other devices have been signed out.")
        return redirect(url_for("accounts.account"))
    return render_template("accounts/account.html", form=form), 422 if form.errors else 200


@blueprint.route("/password", methods=["GET", "POST"])
@limited(PER_ADDRESS, counts=failed)
@public
def choose_password() -> ResponseReturnValue:
    """Where a one-time link leads: somebody gives themselves a password. It signs nobody in or out but them.

    The link's secret is in the query, which no log has.
    """
    form, secret = ChoosePasswordForm(), request.args.get("link", "")
    try:
        person = credentials.person_of_link(secret)
        if form.validate_on_submit() and (password_hash := _new_password(form)):
            with writing():
                credentials.use_link(secret, password_hash)
            flash(f"The password is set. Sign in with book number {person.book_no}.")
            return redirect(url_for("accounts.sign_in"), 303)
    except LinkOver as over:
        return render_template("accounts/link_over.html", why=str(over)), 410
    return render_template("accounts/choose_password.html", form=form, person=person), 422 if form.errors else 200


@blueprint.post("/account/data")
@permits(*Role)
def data() -> ResponseReturnValue:
    """Everything that is kept of oneself, as a file of JSON."""
    with writing():
        found = data_export.of(viewer())
    text = json.dumps(found, ensure_ascii=False, indent=2)
    name = f"camp-badges-{viewer().book_no}.json"
    return Response(
        text, mimetype="application/json", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


@blueprint.post("/account/leaderboards")
@permits(*Role)
def leaderboards() -> ResponseReturnValue:
    """Be on no leaderboard any more, or again."""
    show = request.form.get("show")
    if show not in ("yes", "no"):
        raise InvalidError("It was not said whether you want to be on leaderboards. Reload the page and try again.")
    with writing():
        accounts.opt_out(viewer(), show == "no")
    flash("You are on the leaderboards again." if show == "yes" else "You are on no leaderboard any more.")
    return redirect(url_for("accounts.account", _anchor="leaderboards"), 303)


def _authenticate(book_no: str, password: str) -> Person | None:
    try:
        number = accounts.parse_book_no(book_no)
    except InvalidError:
        number = 0  # nobody's, so that the answer is the same
    return authenticate(number, password)


def _let_in(person: Person) -> None:
    """A new session, so that whoever planted the old one gains nothing."""
    session.clear()
    session.permanent = True
    login_user(SessionPerson(person))


def _change_password(person: Person, form: ChangePasswordForm) -> bool:
    """Change it and stay signed in here; otherwise the form says why not."""
    count_attempt(person.book_no)
    if form.new.data == form.again.data and not credentials.has_password(person, form.present.data or ""):
        form.present.errors = ["This is not your present password."]
    elif password_hash := _new_password(form):
        with writing():
            credentials.set_password(person, password_hash)
        forget_attempts(person.book_no)
        _let_in(person)
        return True
    return False


def _new_password(form: ChangePasswordForm | ChoosePasswordForm) -> str | None:
    """The hash of the password that was entered twice; otherwise the form says why not."""
    if form.new.data != form.again.data:
        form.again.errors = ["The two new passwords differ."]
        return None
    try:
        return credentials.hash_password(form.new.data or "")
    except InvalidError as error:
        form.new.errors = [str(error)]
        return None
