"""What the tests of the screens and of the API share."""

from dataclasses import dataclass

import pytest
from flask import Flask

from tests import factories
from tests.conftest import People
from webapp.database import writing
from webapp.domain.attendance import marking
from webapp.domain.camps.calendar import Camp


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
            marking.sign_up(people.volunteer, made.today)
    return made


HTMX = {"HX-Request": "true"}
