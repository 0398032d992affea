"""The tests of the domain call it themselves, inside an application context."""

import pytest

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture(autouse=True)
def _inside(context: None) -> None:
    pass
