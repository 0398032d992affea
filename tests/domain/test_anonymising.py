"""Somebody asked to be forgotten: the name is in no table any more, and the figures are what they were."""

import json
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import JSON, LargeBinary, String, inspect, select, text, update
from sqlalchemy import Enum as Choice

from tests import factories
from tests.conftest import People
from webapp import clock
from webapp.database import db, is_sqlite, writing
from webapp.domain import jobs
from webapp.domain.attendance import marking, roll_call, sync
from webapp.domain.audit import Entry
from webapp.domain.badges import awards
from webapp.domain.camps.calendar import Camp
from webapp.domain.errors import ConflictError, InvalidError
from webapp.domain.evaluation import verify
from webapp.domain.import_export import history_file, imports, people_file
from webapp.domain.import_export.uploads import UploadProblem, UploadRow
from webapp.domain.jobs import Job, Kind, Status, Upload
from webapp.domain.leaderboard import boards
from webapp.domain.models.attendance import Attendance, CampRole, State
from webapp.domain.models.badge import Revocation
from webapp.domain.people import accounts, cards, credentials
from webapp.domain.people.accounts import Person, Role
from webapp.domain.privacy import erasure

NAME = "Zebadiah Quillfeather"
EARLIER = "Zeb Quillfeather-Pränk"
BETWEEN = "Zeb Brindlemoor"
WORDS = ("zebadiah", "quillf", "pränk", "brindlemoor")

# Every column that holds text, and whether a person's name can come into it. Who adds one decides it here.
MAY_HOLD_A_NAME = {
    "attendance.reason",
    "former_name.name",
    "job.cursor",
    "job.outcome",
    "job.params",
    "job.problem",
    "operation.order",
    "person.name",
    "person.search_name",
    "revocation.reason",
    "upload.content",
    "upload_problem.reason",
    "upload_row.name",
}
NAMES_NOBODY = {
    "badge.criteria_type",
    "badge.description",
    "badge.emblem",
    "badge.metal",
    "badge.name",
    "badge.ribbon",
    "badge.shape",
    "board.dates",
    "board.rank_by",
    "board_request.rank_by",
    "camp.name",
    "definition.criteria_type",
    "entry.details",
    "entry.device",
    "operation.action",
    "password_link.digest",
    "person.password_hash",
    "setting.key",
    "setting.value",
    "site.name",
    "site.time_zone",
    "upload_row.camp",
    "upload_row.camp_role",
    "upload_row.site",
    "upload_row.state",
}


def test_of_every_text_that_is_kept_it_is_decided_whether_it_can_hold_a_name() -> None:
    found = {
        f"{table.name}.{column.name}"
        for table in db.metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, String | JSON | LargeBinary) and not isinstance(column.type, Choice)
    }
    assert found == MAY_HOLD_A_NAME | NAMES_NOBODY


def unpacked(content: bytes) -> bytes:
    try:
        return zlib.decompress(content)
    except zlib.error:
        return content


def dump() -> dict[str, str]:
    """Every table that the database has, as text."""
    db.session.rollback()
    written = {}
    for table in inspect(db.engine).get_table_names():
        rows = db.session.execute(text(f'SELECT * FROM "{table}"')).all()
        cells = [
            unpacked(bytes(cell)).decode(errors="replace")
            if isinstance(cell, bytes | memoryview)
            else json.dumps(cell, ensure_ascii=False, default=str)
            for row in rows
            for cell in row
        ]
        written[table] = "\n".join(cells).encode().decode().casefold()
    return written


def tables_with(words: Collection[str]) -> set[str]:
    return {
        table
        for table, written in dump().items()
        if any(word in written or json.dumps(word)[1:-1] in written for word in words)
    }


@pytest.fixture
def careless(context: None) -> Iterator[None]:
    """SQLite as many build it: what is deleted is not overwritten. Debian's is more careful by itself."""
    for mode in ("OFF", "ON"):
        if is_sqlite():
            db.session.connection().exec_driver_sql(f"PRAGMA secure_delete = {mode}")
        if mode == "OFF":
            yield
            db.session.rollback()


def files_with(url: str, words: Collection[str]) -> list[str]:
    """The files of SQLite that hold one of some words, wherever in them."""
    if not is_sqlite():
        return []
    database = Path(url.removeprefix("sqlite:///"))
    files = [file for file in database.parent.iterdir() if file.name.startswith(database.name)]
    assert len(files) >= 2  # the log too
    return [
        file.name
        for file in files
        if any(word in file.read_bytes().decode(errors="replace").casefold() for word in words)
    ]


def sent(people: People, camp: Camp, person_id: UUID | None = None, **order: str) -> UUID:
    """A phone sends an order about somebody; their id."""
    person_id = person_id or uuid4()
    head = {"id": str(uuid4()), "camp": str(camp.id), "made_at": clock.now().isoformat(), "person": str(person_id)}
    with writing():
        sync.carry_out(sync.parse(head | order), by=people.coordinator, secret="x" * 16)
    return person_id


def planted(people: People) -> Person:
    """Somebody whose name has come everywhere it can come."""
    camps = factories.weekly(4)
    who = db.session.get_one(Person, sent(people, camps[-1], action="add", name=EARLIER))
    with writing():
        accounts.rename(who, BETWEEN)
    with writing():
        accounts.rename(who, NAME)
    sent(people, camps[1], people.volunteer.id, action="mark", state="excused", reason="zebadiah drives")
    factories.with_password(who)
    factories.attend(who, camps[:2], people.coordinator)
    with writing():
        marking.undo(who, camps[1], by=people.coordinator)
        marking.excuse(who, camps[1], by=people.coordinator, reason="has a fever")
        marking.excuse(people.other, camps[1], by=people.coordinator, reason=f"drove  {NAME.upper()} home")
        marking.excuse(people.other, camps[2], by=people.coordinator, reason=f"with {BETWEEN}")
        marking.excuse(people.volunteer, camps[1], by=people.coordinator, reason="her birthday")
        credentials.make_link(who, by=people.admin)
    with writing():
        marking.mark_present(people.other, camps[0], by=people.coordinator)
        marking.undo(people.other, camps[0], by=people.coordinator)
    with writing():
        db.session.execute(update(Revocation).values(reason=f"Camp: confused with {NAME}"))
        plant_files(who, people.admin)
    return who


def plant_files(who: Person, by: Person) -> None:
    check = jobs.add(Kind.IMPORT_CHECK, by=by, params={"title": "zebadiah_quillfeather.csv"})
    check.tell(first=[f"{NAME} is new"])
    check.cursor = f"after {NAME}"
    jobs.end(check, Status.FAILED, f"cannot read {NAME}")
    raw = f"book_no,name\n{who.book_no},{NAME}\n".encode()
    db.session.add(Upload(job_id=check.id, part=0, content=raw[:20]))
    db.session.add(Upload(job_id=check.id, part=1, content=raw[20:]))
    for line, cell in enumerate((NAME[:20], "on Sunday, by Quillf", "camp of Zeb"), 2):
        db.session.add(UploadProblem(job_id=check.id, line=line, reason=f"“{cell}” is not a date"))
    row = {"site": "Main", "camp": "Camp", "camp_date": clock.now().date(), "camp_role": "volunteer", "state": "yes"}
    db.session.add(UploadRow(job_id=check.id, line=3, book_no=who.book_no, name=NAME, **row))
    broken = people_file.begin(people_file.preview(f"name;book_no\r\n{EARLIER};900\r\n".encode()), by=by, title="List")
    jobs.end(broken, Status.CANCELLED)
    done = jobs.add(Kind.IMPORT_CHECK, by=by)
    jobs.end(done, Status.DONE)
    db.session.add(Upload(job_id=done.id, part=0, content=zlib.compress(raw)))


def test_the_name_is_in_no_table_any_more_and_every_figure_is_as_it_was(
    app: Flask, people: People, context: None, database_url: str, careless: None
) -> None:
    who = planted(people)
    person_id = who.id
    assert tables_with(WORDS) == {each.partition(".")[0] for each in MAY_HOLD_A_NAME}
    before = figures(who)
    with writing():
        erasure.anonymise(who)
    assert erasure.overwrite()
    assert files_with(database_url, WORDS) == []
    assert tables_with(WORDS) == set()
    assert figures(who) == before
    assert list(verify.differences()) == []

    db.session.expire_all()
    who = db.session.get_one(Person, person_id)
    assert (who.name, who.search_name) == ("Former volunteer", "former volunteer")
    assert (who.is_active, who.is_listed, who.password_hash, who.role) == (False, False, None, Role.VOLUNTEER)
    assert who.anonymised_at == clock.now()
    reasons = set(db.session.scalars(select(Attendance.reason)))
    assert reasons == {None, "drove Former volunteer home", "with Former volunteer", "her birthday"}
    assert set(db.session.scalars(select(UploadProblem.reason))) == {"“Former volunteer” is not a date"}
    assert {"title": "Former volunteer.csv"} in [job.asked for job in db.session.scalars(select(Job))]
    assert db.session.scalars(select(Upload)).all() == []
    over = sorted(db.session.scalars(select(Job.status)))
    assert over == [Status.CANCELLED, Status.CANCELLED, Status.DONE]  # none that could be tried again without its file
    orders = db.session.scalars(select(sync.Operation.order)).all()
    assert {(order.get("name"), order.get("reason")) for order in orders} == {("Former volunteer", None), (None, None)}
    assert {entry.action for entry in trail(who)} >= {"anonymised", "deactivated", "person_added", "present"}


def test_while_somebody_reads_for_long_the_files_stay_as_they_are(
    app: Flask, people: People, context: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "SQLITE_PATIENCE", 0)
    with writing():
        erasure.anonymise(people.volunteer)
    with db.engine.connect() as other:
        other.execute(select(Person.name)).first()
        assert erasure.overwrite() is not is_sqlite()
    assert erasure.overwrite()


def trail(who: Person) -> list[Entry]:
    return list(db.session.scalars(select(Entry).where(Entry.person_id == who.id)))


def figures(who: Person) -> object:
    """What camps and the person's own history count."""
    camps = db.session.scalars(select(Camp).order_by(Camp.camp_date)).all()
    return (
        [dict(roll_call.counts(camp)) for camp in camps],
        [(award.badge_id, award.camp_id, award.revoked_at) for award in awards.of_person(who.id)],
    )


def test_they_are_on_no_board_and_their_card_link_and_sessions_are_over(
    app: Flask, people: People, context: None
) -> None:
    who = factories.with_password(people.volunteer)
    factories.attend(who, factories.weekly(2), people.coordinator)
    card = cards.text_of(who, "x" * 16)
    session = credentials.session_key(who)
    with writing():
        secret = credentials.make_link(who, by=people.admin)
    with writing():
        erasure.anonymise(who)
    assert credentials.person_of(session) is None
    with pytest.raises(credentials.LinkOver):
        credentials.person_of_link(secret)
    with pytest.raises(InvalidError):
        cards.read(card, "x" * 16)
    assert who.book_no not in {each.line.person.book_no for each in boards.export(factories.board())}


def test_it_is_for_good(app: Flask, people: People, context: None) -> None:
    with writing():
        erasure.anonymise(people.volunteer)
    who = db.session.get_one(Person, people.volunteer.id)
    for verb in (
        lambda: erasure.anonymise(who),
        lambda: accounts.reactivate(who),
        lambda: accounts.rename(who, "Asha Rao"),
        lambda: accounts.change_role(who, Role.ADMIN),
        lambda: credentials.make_link(who, by=people.admin),
        lambda: credentials.set_password(who, "hash"),
    ):
        with pytest.raises(ConflictError), writing():
            verb()
    assert (who.name, who.is_active, who.role, who.password_hash) == ("Former volunteer", False, Role.VOLUNTEER, None)


def test_an_import_that_has_their_number_does_not_bring_the_name_back(
    app: Flask, people: People, context: None
) -> None:
    who = people.volunteer
    with writing():
        erasure.anonymise(who)
        file = people_file.preview(f"book_no,name\n{who.book_no},Asha Rao\n950,New One\n".encode())
        assert [each.person.name for each in file.known] == ["Former volunteer"]
        people_file.begin(file, by=people.admin, title="people.csv")
    factories.do_jobs()
    entry = history_file.Entry(
        2, who.book_no, "Asha Rao", "", "Old camp", clock.now().date(), CampRole.VOLUNTEER, State.PRESENT
    )
    with writing():
        imports.store([entry])
    assert tables_with(["asha rao"]) == set()
    assert accounts.by_book_no(950)


def test_an_excuse_with_a_part_of_the_name_is_told_and_left(app: Flask, people: People, context: None) -> None:
    first, second = factories.weekly(2)
    with writing():
        marking.excuse(people.volunteer, first, by=people.coordinator, reason="Asha is ill, says Asha")
        marking.excuse(people.other, first, by=people.coordinator, reason="drives asha home")
        marking.excuse(people.other, second, by=people.coordinator, reason="meets Asha Rao")
        marking.excuse(people.coordinator, second, by=people.coordinator, reason="meets Ashas friend")
    assert [(each.person.name, each.camp_id) for each in erasure.partly_named(people.volunteer)] == [
        ("Imran Pasha", first.id)
    ]
    with writing():
        erasure.anonymise(people.volunteer)
    db.session.expire_all()
    left = set(db.session.scalars(select(Attendance.reason)))
    assert left == {None, "drives asha home", "meets Former volunteer", "meets Ashas friend"}


def test_a_namesake_keeps_their_name(app: Flask, people: People, context: None) -> None:
    namesake = factories.person(people.volunteer.name)
    with writing():
        erasure.anonymise(people.volunteer)
    db.session.expire_all()
    assert db.session.get_one(Person, namesake.id).name == "Asha Rao"


def test_while_a_file_is_read_nobody_is_anonymised(app: Flask, people: People, context: None) -> None:
    with writing():
        people_file.begin(people_file.preview(b"book_no,name\n900,Asha Rao\n"), by=people.admin, title="x")
    with pytest.raises(ConflictError, match="is being imported"), writing():
        erasure.anonymise(people.volunteer)
    db.session.expire_all()
    assert db.session.get_one(Person, people.volunteer.id).is_active
    factories.do_jobs()
    with writing():
        erasure.anonymise(people.volunteer)


@pytest.mark.parametrize(
    ("names", "before", "after"),
    [
        ({"Asha Rao"}, "with asha  RAO and Asha Raoji", "with Former volunteer and Asha Raoji"),
        ({"Asha Rao"}, "asha_rao-2026.csv", "Former volunteer-2026.csv"),
        ({"An"}, "had an exam, says An", "had an exam, says Former volunteer"),
        ({"आशा राव"}, "आशा राव के साथ", "Former volunteer के साथ"),
        ({"A. (Bo) Rao+"}, "A. (Bo) Rao+", "Former volunteer"),
    ],
)
def test_a_name_is_found_however_it_is_written(names: set[str], before: str, after: str) -> None:
    assert erasure.cleaner(names)(before) == after
