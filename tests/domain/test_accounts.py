"""People as an admin changes them: names, roles, accounts switched off and on; one admin stays, whatever happens."""

import threading
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from sqlalchemy import select

from tests import factories
from tests.conftest import SUNDAY, People
from webapp import clock
from webapp.database import db, writing
from webapp.domain.audit import Action, Entry
from webapp.domain.errors import ConflictError, InvalidError
from webapp.domain.evaluation import verify
from webapp.domain.leaderboard import boards
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Person, Role

BLOCKED = 0.5  # seconds for which somebody who must wait is seen to wait


@pytest.fixture(autouse=True)
def _passing(app: Flask) -> Iterator[None]:
    """Time passes, or the trail would have no order."""
    with clock.running_from(SUNDAY):
        yield


def done_to(who: Person) -> list[Action]:
    """What the audit trail has of somebody, in its order, beyond their having been added."""
    found = select(Entry.action).where(Entry.person_id == who.id, Entry.action != Action.PERSON_ADDED)
    return list(db.session.scalars(found.order_by(Entry.at)))


def admins() -> int:
    db.session.rollback()
    return len(db.session.scalars(accounts.find(role=Role.ADMIN, active=True)).all())


def test_a_new_name_is_found_and_the_old_one_is_not(app: Flask, people: People, context: None) -> None:
    with writing():
        accounts.rename(people.volunteer, "  Ángel   Müller ")
    db.session.expire_all()
    assert [each.name for each in db.session.scalars(accounts.find("angel muller"))] == ["Ángel Müller"]
    assert db.session.scalars(accounts.find("asha rao")).all() == []
    stored = db.session.get_one(Person, people.volunteer.id)
    assert stored.search_name == "angel muller"
    assert list(verify.differences()) == []
    assert done_to(people.volunteer) == [Action.PERSON_CHANGED]
    entry = db.session.scalars(select(Entry).where(Entry.action == Action.PERSON_CHANGED)).one()
    assert entry.facts == {"changed": ["name"]}  # and no name
    with writing():
        accounts.rename(people.volunteer, "Ángel Müller")
    assert done_to(people.volunteer) == [Action.PERSON_CHANGED]
    with pytest.raises(InvalidError), writing():
        accounts.rename(people.volunteer, " ")


def test_another_role_takes_somebody_off_the_boards_and_back(app: Flask, people: People, context: None) -> None:
    def listed() -> bool:
        db.session.rollback()
        return people.volunteer.book_no in {each.line.person.book_no for each in boards.export(factories.board())}

    session_no = people.volunteer.session_no
    with writing():
        accounts.change_role(people.volunteer, Role.COORDINATOR)
    assert not listed()
    assert db.session.get_one(Person, people.volunteer.id).session_no == session_no
    with writing():
        accounts.change_role(people.volunteer, Role.VOLUNTEER)
    assert listed()
    assert db.session.get_one(Person, people.volunteer.id).session_no == session_no + 1  # who may do less
    assert done_to(people.volunteer) == [Action.ROLE_CHANGED] * 2
    assert list(verify.differences()) == []


def test_an_account_is_switched_off_and_on_and_its_history_stays(app: Flask, people: People, context: None) -> None:
    factories.attend(people.volunteer, factories.weekly(3), people.coordinator)
    held = factories.badge_names(people.volunteer)
    before = [(each.line.person.id, each.line.visits) for each in boards.export(factories.board())]
    for _ in range(2):  # a second time changes nothing
        with writing():
            accounts.deactivate(people.volunteer)
    assert people.volunteer.id not in {each.line.person.id for each in boards.export(factories.board())}
    assert factories.badge_names(people.volunteer) == held
    for _ in range(2):
        with writing():
            accounts.reactivate(people.volunteer)
    db.session.rollback()
    assert [(each.line.person.id, each.line.visits) for each in boards.export(factories.board())] == before
    marks = (Action.PRESENT,) * 3
    assert done_to(people.volunteer)[3:] == [Action.DEACTIVATED, Action.REACTIVATED]
    assert done_to(people.volunteer)[:3] == list(marks)
    assert list(verify.differences()) == []


def test_the_filters_find_by_role_and_by_whether_the_account_is_on(app: Flask, people: People, context: None) -> None:
    def names(role: Role | None = None, *, active: bool | None = None) -> list[str]:
        return [each.name for each in db.session.scalars(accounts.find("", role, active=active))]

    assert names(active=False) == ["Nobody Now"]
    assert names(Role.VOLUNTEER, active=True) == ["Asha Rao", "Imran Pasha"]
    assert len(names()) == 5


@pytest.mark.parametrize(
    "verb", [accounts.deactivate, lambda person: accounts.change_role(person, Role.VOLUNTEER)], ids=["off", "role"]
)
def test_the_last_admin_stays(app: Flask, people: People, context: None, verb: Callable[[Person], None]) -> None:
    other = factories.person("Another Admin", role=Role.ADMIN)
    with writing():
        accounts.deactivate(other)  # who is switched off does not count
    with pytest.raises(ConflictError, match="only admin"), writing():
        verb(db.session.get_one(Person, people.admin.id))
    assert admins() == 1
    with writing():
        accounts.reactivate(db.session.get_one(Person, other.id))
        verb(db.session.get_one(Person, people.admin.id))
    assert admins() == 1


VERBS: dict[str, Callable[[Person], None]] = {
    "off": accounts.deactivate,
    "role": lambda person: accounts.change_role(person, Role.COORDINATOR),
}


@pytest.mark.parametrize("first", VERBS)
@pytest.mark.parametrize("second", VERBS)
def test_two_admins_who_unseat_each_other_at_once_do_not_both_succeed(
    app: Flask, people: People, context: None, first: str, second: str
) -> None:
    """The second begins while the first is not committed, so that neither sees what the other does."""
    other = factories.person("Another Admin", role=Role.ADMIN)
    said: list[str] = []
    ended = threading.Event()

    def unseat() -> None:
        with app.app_context():
            try:
                with writing():
                    VERBS[second](db.session.get_one(Person, people.admin.id))
            except ConflictError as error:
                said.append(str(error))
            finally:
                ended.set()

    thread = threading.Thread(target=unseat)
    with writing():
        VERBS[first](db.session.get_one(Person, other.id))
        thread.start()
        assert not ended.wait(BLOCKED)  # they wait for their turn
    thread.join()
    assert said
    assert "only admin" in said[0]
    assert admins() == 1


def test_many_admins_who_unseat_each_other_at_once_leave_one(app: Flask, people: People, context: None) -> None:
    ids = [people.admin.id, *(factories.person(f"Admin {number}", role=Role.ADMIN).id for number in range(5))]
    together = threading.Barrier(len(ids))

    def unseat(person_id: object) -> None:
        with app.app_context():
            together.wait(10)
            try:
                with writing():
                    accounts.change_role(db.session.get_one(Person, person_id), Role.VOLUNTEER)
            except ConflictError:
                pass

    threads = [threading.Thread(target=unseat, args=(each,)) for each in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert admins() == 1


def test_two_who_choose_the_same_book_number_at_once_do_not_both_get_it(
    app: Flask, people: People, context: None
) -> None:
    said: list[str] = []
    ended = threading.Event()

    def add() -> None:
        with app.app_context():
            try:
                factories.person("Second", book_no=77)
            except ConflictError as error:
                said.append(str(error))
            finally:
                ended.set()

    thread = threading.Thread(target=add)
    with writing():
        accounts.add_person("First", book_no=77)
        thread.start()
        assert not ended.wait(BLOCKED)
    thread.join()
    assert said == ["Book number 77 belongs to somebody already."]


def test_a_slip_of_the_pen_that_takes_the_last_book_number_leaves_room_for_others(
    people: People, context: None
) -> None:
    factories.person("Slip", book_no=accounts.LARGEST_BOOK_NO)
    taken = {person.book_no for person in db.session.scalars(select(Person))}
    added = [factories.person(name).book_no for name in ("Farah", "Zoya")]
    assert added[0] < added[1] < accounts.LARGEST_BOOK_NO
    assert not taken & set(added)
