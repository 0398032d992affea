"""An uploaded history: looked through and stored a batch at a time, to the same state as in one transaction."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, inspect, select

from tests import factories, state
from tests.conftest import SUNDAY, People
from tests.factories import badge_names
from webapp import clock, worker
from webapp.database import db, writing
from webapp.domain import jobs
from webapp.domain.audit import Action, Entry
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import Camp, Site
from webapp.domain.errors import ConflictError
from webapp.domain.evaluation import verify
from webapp.domain.import_export import history_file, import_jobs, imports, uploads
from webapp.domain.import_export.uploads import FileRefused, Sieve, UploadProblem, UploadRow
from webapp.domain.jobs import Job, Status, Upload
from webapp.domain.models.attendance import Attendance
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Person
from webapp.domain.schedule import schedule

HEADER = "book_no,name,site,camp,camp_date,camp_role,attended"


class Undone(Exception):
    """Ends a transaction without a trace."""


@pytest.fixture
def admin(people: People) -> Person:
    return people.admin


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_jobs, "ROWS_READ", 40)
    monkeypatch.setattr(import_jobs, "ROWS_STORED", 25)
    monkeypatch.setattr(import_jobs, "PEOPLE_SETTLED", 3)
    monkeypatch.setattr(uploads, "PART", 700)
    monkeypatch.setattr(uploads, "SLICE", 30)


def text(*rows: str, header: str = HEADER) -> bytes:
    return "\n".join([header, *rows, ""]).encode()


def send(content: bytes, by: Person) -> Job:
    sieve = Sieve()
    sieve.look(content)
    sieve.finish()
    with writing():
        job = uploads.begin(by=by, lines=sieve.lines)
        parts = [content[at : at + uploads.PART] for at in range(0, len(content), uploads.PART)]
        uploads.add_parts(job.id, 0, parts)
        uploads.complete(job.id)
    return job


def looked_through(content: bytes, by: Person) -> Job:
    job = send(content, by)
    factories.do_jobs()
    return fresh(job)


def fresh(job: Job) -> Job:
    key = inspect(job).identity  # it may have been rolled back, and let go
    assert key
    found = jobs.by_id(key[0])
    assert found
    return found


def begun(checked: Job, by: Person, *, keep_good: bool = False) -> Job:
    with writing():
        return import_jobs.choose(checked.id, by=by, keep_good=keep_good)


def stored(content: bytes, by: Person, *, keep_good: bool = False) -> Job:
    job = begun(looked_through(content, by), by, keep_good=keep_good)
    factories.do_jobs()
    return fresh(job)


def number(table: type) -> int:
    return db.session.scalar(select(func.count()).select_from(table)) or 0


def reasons(job: Job) -> dict[int, str]:
    return {problem.line: problem.reason for problem in uploads.every_problem(job.id)}


def agrees() -> bool:
    return list(verify.differences()) == []


# --- the same state as an import in one transaction ----------------------------------------------


def a_history() -> list[str]:
    """Runs over several sites and dates, in the order of a year, with people known already among them. Not all
    write a site and its camps in the same capitals.
    """
    rows = []
    for week in range(14):
        day = SUNDAY.date() - timedelta(weeks=week)
        for book_no in range(1, 23):
            if (book_no * 7 + week * 5) % 4:
                said = ("yes", "yes", "yes", "excused", "no")[(book_no + week) % 5]
                role = "doctor" if (book_no + week) % 9 == 0 else "volunteer"
                site = ("", "HOSUR" if book_no % 5 else "Hosur")[week % 2 if book_no % 3 else 0]
                camp = "Camp" if book_no % 7 else "CAMP"
                rows.append(f"{book_no},Person {book_no},{site},{camp},{day},{role},{said}")
    return rows


@pytest.fixture
def known(people: People) -> Callable[[], None]:
    """Makes some marks that the file goes over, or says otherwise."""

    def make() -> None:
        with writing():
            held = [
                schedule.add_camp(calendar.default_site(), "Earlier", SUNDAY.date() - timedelta(days=days))
                for days in (4, 12, 25, 40, 47)
            ]
        with writing():
            same = schedule.add_camp(calendar.default_site(), "Camp", SUNDAY.date())
        for person in (people.volunteer, people.other, people.coordinator):
            factories.attend(person, [*held, same], people.coordinator)

    return make


def test_in_batches_it_ends_as_in_one_transaction(
    tmp_path: Path, admin: Person, known: Callable[[], None], small_batches: None
) -> None:
    known()
    before = state.everything()
    content = text(*a_history())
    file = tmp_path / "history.csv"
    file.write_bytes(content)
    with pytest.raises(Undone), writing():
        whole = imports.store(history_file.read(file))
        expected = state.everything()
        raise Undone
    assert state.everything() == before

    job = stored(content, admin)
    assert job.status is Status.DONE
    assert state.everything() == expected
    done = job.found
    assert {name: done[name] for name in whole.numbers if name != "bad"} == {
        name: value for name, value in whole.numbers.items() if name != "bad"
    }
    assert (job.done, job.total) == (22, 22)
    assert (number(Site), number(Camp)) == (2, 5 + 14 + 7)
    assert agrees()
    assert (number(UploadRow), number(Upload)) == (0, 0)
    (entry,) = db.session.scalars(select(Entry).where(Entry.action == Action.IMPORTED))
    assert (entry.by_id, entry.job_id, entry.device) == (admin.id, job.id, worker.DEVICE)


def test_one_camp_in_several_capitals_is_stored_once(admin: Person) -> None:
    """Also where those rows of it that are written alike say something else than the others."""
    rows = (
        "7,Asha,North,Camp,2026-04-05,,yes",
        "7,Asha,north,CAMP,2026-04-05,,yes",
        "9,Binu,north,CAMP,2026-04-05,,no",
    )
    job = stored(text(*rows), admin)
    assert (job.status, job.found["stored"], job.found["unchanged"]) == (Status.DONE, 2, 1)
    assert [(camp.site.name, camp.name) for camp in db.session.scalars(select(Camp))] == [("North", "Camp")]


@pytest.mark.parametrize("batches", [1, 2, 4, 7])
def test_cancelled_it_leaves_whole_people_and_can_go_on(
    admin: Person, known: Callable[[], None], small_batches: None, batches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    known()
    content = text(*a_history())
    checked = looked_through(content, admin)
    job = begun(checked, admin)
    count = 0
    carry_out = worker.BATCHES[jobs.Kind.IMPORT]

    def cancelled_after_some(job: Job) -> bool:
        nonlocal count
        count += 1
        if count == batches:
            jobs.cancel(job)
        return carry_out(job)

    with monkeypatch.context() as patched:
        patched.setitem(worker.BATCHES, jobs.Kind.IMPORT, cancelled_after_some)
        factories.do_jobs()
    job = fresh(job)
    assert job.status is Status.CANCELLED
    assert agrees()  # also those whose runs the new dates broke, whatever was not stored
    with_rows = {row.book_no for row in db.session.scalars(select(UploadRow))}
    assert with_rows  # kept, to go on with

    again = begun(fresh(checked), admin)
    factories.do_jobs()
    assert fresh(again).status is Status.DONE
    assert agrees()
    assert number(Attendance) == 3 * 6 + len(a_history()) - _known_already()


def _known_already() -> int:
    """Rows of the history about people at the one camp that they were marked at before."""
    return sum(
        book_no in ("2", "3", "4") and not site and day == str(SUNDAY.date())
        for book_no, _, site, _, day, *_ in (row.split(",") for row in a_history())
    )


# --- what a check finds --------------------------------------------------------------------------


def test_a_check_finds_what_an_import_would_refuse(tmp_path: Path, people: People, small_batches: None) -> None:
    with writing():
        gone = schedule.add_camp(calendar.default_site(), "Gone", SUNDAY.date() - timedelta(days=7))
        schedule.cancel_camp(gone)
    rows = [
        "7,Asha,,Camp,2026-04-05,,yes",
        "7,Asha,,Camp,2026-04-05,,no",
        "8,Binu,,Gone,2026-04-05,,yes",
        "9,Chitra,,Camp,2026-04-19,,yes",
        "9,Chitra,,Camp,12/04/2026,,yes",
        "x,Nobody,,Camp,2026-04-05,,yes",
        "1,Another Name,,Camp,2026-04-05,,yes",
        '10,"Stray quote,,Camp,2026-04-05,,yes',
        "10,Two,,Camp,2026-04-05,,yes",
        "11,Devi,,Camp",
        f"12,{'x' * 121},,Camp,2026-04-05,,yes",
        "13,Esha,Hosur,Camp,2026-04-05,,yes",
    ]
    file = tmp_path / "history.csv"
    file.write_bytes(text(*rows))
    with pytest.raises(imports.ImportRefused) as refused, writing():
        imports.store(history_file.read(file))
    job = looked_through(text(*rows), people.admin)
    assert job.status is Status.DONE
    assert reasons(job) == {problem.line: problem.reason for problem in refused.value.problems}
    assert "write year, month and day as 2026-04-12" in reasons(job)[6]
    found = job.found
    assert (found["rows"], found["bad"]) == (4, 8)
    assert (found["people"], found["people_to_come"], found["camps_to_come"], found["renamed"]) == (4, 3, 2, 1)
    assert (number(Camp), number(Attendance)) == (1, 0)  # nothing is stored yet

    with pytest.raises(ConflictError, match="8 rows of this file are bad"), writing():
        import_jobs.choose(job.id, by=people.admin, keep_good=False)
    done = begun(job, people.admin, keep_good=True)
    factories.do_jobs()
    assert (fresh(done).found["stored"], fresh(done).found["bad"]) == (4, 8)
    assert len(reasons(job)) == 8  # the report stays
    assert number(UploadRow) == 0
    assert agrees()


def test_many_bad_rows_of_every_kind_are_all_reported(people: People, small_batches: None) -> None:
    """The make-up of a file of 200,000 rows with 1,000 bad ones, smaller."""
    bad = [
        "x{n},A,,Camp,2026-04-05,,yes",
        "{n},,,Camp,2026-04-05,,yes",
        "{n},A,,,2026-04-05,,yes",
        "{n},A,,Camp,05/04/2026,,yes",
        "{n},A,,Camp,2026-02-30,,yes",
        "{n},A,,Camp,2026-04-19,,yes",
        "{n},A,,Camp,2026-04-05,nurse,yes",
        "{n},A,,Camp,2026-04-05,,maybe",
        "{n},A,,Camp",
        '{n},"A"b,,Camp,2026-04-05,,yes',
    ]
    rows = []
    for n in range(1, 401):
        rows.append(f"{n},Person {n},,Camp,2026-04-05,,yes")
        if n % 4 == 0:
            rows.append(bad[n // 4 % len(bad)].format(n=n))
    job = looked_through(text(*rows), people.admin)
    assert (job.found["rows"], job.found["bad"]) == (400, 100)
    assert sorted(reasons(job)) == [line for line, row in enumerate(rows, start=2) if "Person" not in row]


def test_a_camp_cancelled_since_the_check_is_not_stored(people: People) -> None:
    camp = factories.camp(1)
    rows = (f"7,Asha,,Camp,{camp.camp_date},,yes", "8,Binu,,Other,2026-04-05,,yes")
    checked = looked_through(text(*rows), people.admin)
    with writing():
        schedule.cancel_camp(camp)
    job = begun(checked, people.admin)
    factories.do_jobs()
    job = fresh(job)
    assert job.status is Status.FAILED
    assert job.problem
    assert "was cancelled. Nothing was stored." in job.problem
    assert number(Attendance) == 0
    assert accounts.by_book_no(7) is None

    again = begun(fresh(checked), people.admin, keep_good=True)
    factories.do_jobs()
    assert (fresh(again).found["stored"], fresh(again).found["bad"]) == (1, 1)
    assert list(reasons(fresh(checked))) == [2]


@pytest.mark.parametrize("changed", ["camp", "place"])
def test_rows_whose_camp_is_renamed_in_the_middle_are_told(
    people: People, small_batches: None, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    """Stored under another name they would be somebody else's decision; left out without a word they would be lost."""
    rows = [f"{number},Person {number},North,Camp,2026-04-05,,yes" for number in range(100, 160)]
    checked = looked_through(text(*rows), people.admin)
    job = begun(checked, people.admin, keep_good=True)
    carry_out = worker.BATCHES[jobs.Kind.IMPORT]

    def renamed_after_some(job: Job) -> bool:
        if (camp := db.session.scalar(select(Camp))) and job.found.get("stored"):
            if changed == "camp":
                schedule.change_camp(camp, "Eye camp", None, None)
            else:
                schedule.change_site(camp.site, "South", None)
        return carry_out(job)

    with monkeypatch.context() as patched:
        patched.setitem(worker.BATCHES, jobs.Kind.IMPORT, renamed_after_some)
        factories.do_jobs()
    found = fresh(job).found
    assert fresh(job).status is Status.DONE
    assert 0 < found["stored"] < 60
    assert found["stored"] + found["bad"] == 60
    told = reasons(fresh(checked))
    assert len(told) == found["bad"]
    assert set(told.values()) == {"Camp on 2026-04-05 was renamed or moved while the file was being stored."}


def test_a_file_that_is_not_text_further_on_fails_the_check(people: People) -> None:
    with writing():
        job = uploads.begin(by=people.admin, lines=2)
        uploads.add_parts(job.id, 0, [text("7,Asha,,Camp,2026-04-05,,yes") + b"8,Zo\xeb,,Camp,2026-04-05,,yes\n"])
        uploads.complete(job.id)
    factories.do_jobs()
    assert fresh(job).status is Status.FAILED
    assert fresh(job).problem == (
        "The file is not UTF-8 text (first noticed near line 3). Save it as “CSV UTF-8” and try again."
    )


# --- who decides, and when -----------------------------------------------------------------------


def test_a_file_is_stored_once(people: People) -> None:
    checked = looked_through(text("7,Asha,,Camp,2026-04-05,,yes"), people.admin)
    begun(checked, people.admin)
    for _ in range(2):
        with pytest.raises(ConflictError, match="is being stored, or was already"), writing():
            import_jobs.choose(checked.id, by=people.admin, keep_good=True)
        with pytest.raises(ConflictError, match="is being stored, or was already"), writing():
            import_jobs.throw_away(checked.id)
        factories.do_jobs()
    assert number(Attendance) == 1


def test_a_file_thrown_away_is_deleted_and_cannot_be_stored(people: People, small_batches: None) -> None:
    checked = looked_through(text(*a_history(), "x,bad"), people.admin)
    with writing():
        import_jobs.throw_away(checked.id)
        while uploads.clear_some(checked.id):
            pass
    assert (number(UploadRow), number(Upload), number(UploadProblem)) == (0, 0, 1)
    with pytest.raises(ConflictError, match="it is gone"), writing():
        import_jobs.choose(checked.id, by=people.admin, keep_good=True)


def test_after_a_week_what_nobody_decided_about_is_deleted(people: People, small_batches: None) -> None:
    checked = looked_through(text(*a_history(), "x,bad"), people.admin)
    with clock.stopped_at(SUNDAY + timedelta(days=6)):
        newer = looked_through(text("7,Asha,,Camp,2026-04-05,,yes"), people.admin)
        worker.delete_old_uploads()
    assert import_jobs.is_waiting(fresh(checked))
    with clock.stopped_at(SUNDAY + timedelta(days=8)):
        worker.delete_old_uploads()
    assert fresh(checked).found["gone"] == "kept too long"
    assert import_jobs.is_waiting(fresh(newer))
    assert (number(UploadRow), number(Upload), number(UploadProblem)) == (1, 1, 1)


def test_badges_of_an_import_are_dated_back(people: People) -> None:
    rows = [f"7,Asha,,Camp,{SUNDAY.date() - timedelta(weeks=weeks)},,yes" for weeks in (1, 2, 3)]
    assert stored(text(*rows), people.admin).found["new_badges"] == 3
    asha = accounts.by_book_no(7)
    assert asha
    assert badge_names(asha) == ["First Step", "Certified Volunteer", "On a Roll"]


# --- the sieve -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04" + b"x" * 100, "a workbook or another zip archive, not a CSV file"),
        (b"\xd0\xcf\x11\xe0" + b"x" * 100, "an old Excel workbook"),
        (b"%PDF-1.7", "a PDF document"),
        (HEADER.encode("utf-16"), "UTF-16 text"),
        (b"\0" * 100_000, "This is no text"),
        (text() + b"7,A\0", "This is no text"),
        (b"name,shoe_size\n1,2\n", "missing: book_no"),
        (text().replace(b"attended", b"shoe_size"), "Unknown column(s): shoe_size"),
        (b"", "The file is empty"),
        (text("7,Asha,,Camp,2026-04-05,,yes") + "8,Zoë".encode("cp1252") + b",,Camp", "near line 3"),
        (text() + "ë".encode()[:1], "near line 2"),
        (b"x" * 20_000, "missing: book_no"),
    ],
)
@pytest.mark.parametrize("piece", [1, 7, 1_000_000])
def test_what_is_no_history_is_refused_while_it_arrives(content: bytes, said: str, piece: int) -> None:
    sieve = Sieve()
    with pytest.raises(FileRefused) as refused:
        for at in range(0, len(content), piece):
            sieve.look(content[at : at + piece])
        sieve.finish()
    assert said in str(refused.value) or (piece == 1 and "near line 1" in str(refused.value))


def test_too_large_a_file_is_refused_without_reading_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MOST_BYTES", 1_000)
    sieve = Sieve()
    sieve.look(text())
    with pytest.raises(FileRefused, match="too large"):
        sieve.look(b"7,Asha,,Camp,2026-04-05,,yes\n" * 100)


@pytest.mark.parametrize("piece", [1, 3, 1_000_000])
def test_characters_of_several_bytes_may_be_divided_between_pieces(piece: int) -> None:
    content = text("7,Śrīnivāsa,,Camp,2026-04-05,,yes")
    sieve = Sieve()
    for at in range(0, len(content), piece):
        sieve.look(content[at : at + piece])
    sieve.finish()
    assert sieve.lines == 2


# --- files from Excel ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("separator", "ending", "mark"), [(",", "\n", b""), (";", "\r\n", b"\xef\xbb\xbf"), ("\t", "\r", b"")]
)
def test_separators_line_ends_and_a_byte_order_mark(
    people: People, small_batches: None, separator: str, ending: str, mark: bytes
) -> None:
    rows = [
        HEADER.split(","),
        ["7", "Rao, Asha; the elder", "", "Camp", "2026-04-05", "", "yes"],
        ["8", "Two  spaces", "", "Camp", "2026-04-05", "volunteer", "no"],
    ]
    content = mark + "".join(separator.join(f'"{cell}"' for cell in row) + ending for row in rows).encode()
    job = looked_through(content, people.admin)
    assert reasons(job) == {}
    names = db.session.scalars(select(UploadRow.name).order_by(UploadRow.book_no)).all()
    assert names == ["Rao, Asha; the elder", "Two spaces"]
