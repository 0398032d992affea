from tests import factories
from tests.conftest import People
from tests.factories import attend, weekly
from webapp.domain import leaderboard
from webapp.domain.accounts import Role


def test_equal_visits_share_a_rank_and_stand_by_name(people: People) -> None:
    camps = weekly(3)
    zoe, bala = factories.person("Zoë Fernandes"), factories.person("Bala Iyer")
    attend(people.volunteer, camps, people.coordinator)
    attend(zoe, camps[:2], people.coordinator)
    attend(bala, camps[1:], people.coordinator)
    attend(people.coordinator, camps, people.admin)
    lines = leaderboard.lines()
    assert [(line.rank, line.person.name, line.visits, line.longest_streak) for line in lines] == [
        (1, "Asha Rao", 3, 3),
        (2, "Bala Iyer", 2, 2),
        (2, "Zoë Fernandes", 2, 2),
        (4, "Imran Pasha", 0, 0),
    ]
    assert [badge.name for badge in lines[0].badges] == ["First Step", "Certified Volunteer", "On a Roll"]
    assert leaderboard.size() == 4


def test_a_rank_holds_across_slices(people: People) -> None:
    whole = leaderboard.lines()
    assert [leaderboard.lines(offset=place, limit=1)[0] for place in range(len(whole))] == whole
    assert [exported.line for exported in leaderboard.export()] == whole


def test_only_active_volunteers(people: People) -> None:
    factories.person("Another Admin", role=Role.ADMIN)
    assert {line.person.name for line in leaderboard.lines()} == {"Asha Rao", "Imran Pasha"}
