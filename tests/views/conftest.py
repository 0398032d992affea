"""What the tests of the screens and of the API share."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from flask import Flask

from tests import factories
from tests.conftest import People
from webapp.database import writing
from webapp.domain import attendance, credentials
from webapp.domain.accounts import Person
from webapp.domain.camps import Camp


@dataclass
class Camps:
    """Last week's camp, today's, for which the volunteer signed up, and next week's."""

    past: Camp
    today: Camp
    future: Camp


@pytest.fixture
def camps(app: Flask, people: People) -> Camps:
    with app.app_context():
        made = Camps(
            factories.camp(1, "Past camp"), factories.camp(0, "Camp of today"), factories.camp(-1, "Next camp")
        )
        with writing():
            attendance.sign_up(people.volunteer, made.today)
    return made


@pytest.fixture
def token(app: Flask) -> Callable[[Person], dict[str, str]]:
    """The header that a signed-in script sends."""

    def header(person: Person) -> dict[str, str]:
        return {"Authorization": f"Bearer {credentials.issue_token(person, str(app.config['SECRET_KEY']))}"}

    return header


HTMX = {"HX-Request": "true"}
