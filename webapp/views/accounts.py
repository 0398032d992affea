"""Signing in and out, and changing one's password."""

from collections.abc import Mapping

from flask import Blueprint, Response, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import login_user, logout_user
from flask_wtf import FlaskForm
from wtforms import PasswordField, StringField
from wtforms.validators import DataRequired

from webapp.database import writing
from webapp.domain import accounts, credentials
from webapp.domain.accounts import Person, Role
from webapp.domain.errors import InvalidError
from webapp.views.home import first_place
from webapp.views.security import SessionPerson, limiter, path_of, permits, public, signed_in, viewer

blueprint = Blueprint("accounts", __name__)

WRONG = "Book number and password do not match. Please try again."
# Failed attempts only: forty volunteers of one camp share an address, and each may sign in.
PER_ACCOUNT = "10/minute;50/hour"
PER_ADDRESS = "60/minute;600/hour"


class SignInForm(FlaskForm):  # type: ignore[misc]
    """Book number and password."""

    book_no = StringField("Book number", [DataRequired("Please enter your book number.")])
    password = PasswordField("Password", [DataRequired("Please enter your password.")])


class ChangePasswordForm(FlaskForm):  # type: ignore[misc]
    """The present password, and the new one twice."""

    present = PasswordField("Present password", [DataRequired("Please enter your present password.")])
    new = PasswordField("New password", [DataRequired("Please enter a new password.")])
    again = PasswordField("New password, once more", [DataRequired("Please enter the new password once more.")])


def failed(response: Response) -> bool:
    """Whether a sign-in counts towards the limits."""
    return response.status_code in (401, 422)


def account_tried() -> str:
    """The book number of the attempt, which the limit for one account counts by."""
    sent = request.get_json(silent=True) if request.is_json else request.form
    tried = sent.get("book_no") if isinstance(sent, Mapping) else None
    return f"account {str(tried).strip()[:20]}"


@blueprint.route("/sign-in", methods=["GET", "POST"])
@limiter.limit(PER_ACCOUNT, key_func=account_tried, methods=["POST"], deduct_when=failed)
@limiter.limit(PER_ADDRESS, methods=["POST"], deduct_when=failed)
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
    return render_template("accounts/sign_in.html", form=form, target=target), 422 if form.errors else 200


@blueprint.post("/sign-out")
@public
def sign_out() -> ResponseReturnValue:
    """End the session on this device."""
    logout_user()
    session.clear()
    return redirect(url_for("accounts.sign_in"))


@blueprint.route("/account", methods=["GET", "POST"])
@limiter.limit(PER_ACCOUNT, key_func=lambda: f"password {viewer_no()}", methods=["POST"], deduct_when=failed)
@permits(*Role)
def account() -> ResponseReturnValue:
    """Who one is here, and the change of one's password, which ends all other sessions."""
    form = ChangePasswordForm()
    if form.validate_on_submit() and _change_password(viewer(), form):
        flash("Your password is changed. Other devices have been signed out.")
        return redirect(url_for("accounts.account"))
    return render_template("accounts/account.html", form=form), 422 if form.errors else 200


def viewer_no() -> int:
    """The book number of the person signed in; 0 for nobody."""
    person = signed_in()
    return person.book_no if person else 0


def _authenticate(book_no: str, password: str) -> Person | None:
    try:
        number = accounts.parse_book_no(book_no)
    except InvalidError:
        number = 0  # nobody's, so that the answer is the same
    return credentials.authenticate(number, password)


def _let_in(person: Person) -> None:
    """A new session, so that whoever planted the old one gains nothing."""
    session.clear()
    session.permanent = True
    login_user(SessionPerson(person))


def _change_password(person: Person, form: ChangePasswordForm) -> bool:
    """Change it and stay signed in here; otherwise the form says why not."""
    if form.new.data != form.again.data:
        form.again.errors = ["The two new passwords differ."]
    elif not credentials.has_password(person, form.present.data or ""):
        form.present.errors = ["This is not your present password."]
    else:
        try:
            password_hash = credentials.hash_password(form.new.data or "")
        except InvalidError as error:
            form.new.errors = [str(error)]
        else:
            with writing():
                credentials.set_password(person, password_hash)
            _let_in(person)
            return True
    return False
