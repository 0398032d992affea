"""A file of people: what is read of it, and the job that stores it, also when it is killed in the middle."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select

from tests import factories
from tests.conftest import People
from tests.serving import SECRET, until
from webapp import worker
from webapp.database import db, writing
from webapp.domain import jobs
from webapp.domain.audit import Action, Entry
from webapp.domain.errors import ConflictError, InvalidError
from webapp.domain.evaluation import verify
from webapp.domain.import_export import people_file
from webapp.domain.import_export.people_file import LARGEST_FILE, preview
from webapp.domain.jobs import Job, Status, Upload
from webapp.domain.people import accounts
from webapp.domain.people.accounts import Person, Role

PLAIN = "book_no,name,role\n100,Lakshmi N.,volunteer\n101,José,coordinator\n102,राम,\n"


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.encode(),
        PLAIN.encode("utf-8-sig"),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace(",", ";").encode(),
        PLAIN.replace(",", "\t").encode(),
        PLAIN.replace(",", " ; ").replace("\n", "\r\n").encode("utf-8-sig"),
        b'Name,ROLE,Book_No\n"Lakshmi N.",Volunteer,100\n\nJos\xc3\xa9,coordinator,101\n,,\n' + "राम,,102".encode(),
    ],
    ids=["plain", "BOM", "CRLF", "semicolons", "tabs", "Excel", "any order"],
)
def test_files_as_programs_write_them(context: None, content: bytes) -> None:
    found = preview(content)
    assert found.problems == []
    assert [(row.book_no, row.name, row.role) for row in found.new] == [
        (100, "Lakshmi N.", Role.VOLUNTEER),
        (101, "José", Role.COORDINATOR),
        (102, "राम", None),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("x,Asha,,", "“x” is not a book number"),
        ("0,Asha,,", "“0” is not a book number"),
        ("103,,,", "A name is needed"),
        ("103," + "x" * 121 + ",,", "at most 120"),
        ("103,A\x00B,,", "cannot be shown"),
        ("103,Asha,boss,", "must be one of volunteer, coordinator, admin"),
        ("103,Asha,,maybe", "must be yes or no"),
        ("103,Asha", "2 of 4 columns"),
        ("103,Asha,,,x", "5 of 4 columns"),
        ("100,Asha,,", "on line 2 already"),
        ('103,"Asha"x,', "not readable as CSV"),
        ('"103,Asha,', "is not closed on this line"),
    ],
)
def test_a_bad_line_is_told_with_its_number_and_the_rest_is_read(context: None, line: str, reason: str) -> None:
    found = preview(f"book_no,name,role,active\n100,First,,\n{line}\n104,Last,,\n".encode())
    assert [row.book_no for row in found.new] == [100, 104]
    assert [problem.line for problem in found.problems] == [3]
    assert reason in found.problems[0].reason


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"book_no,role\n1,admin\n", "missing: name"),
        (b"book_no,name,phone\n", "Unknown column(s): phone"),
        (b"book_no,name,name\n", "named twice: name"),
        (b"PK\x03\x04\x14\x00\xff\xfe", "This is a workbook"),
        ("book_no,name\n1,José\n".encode("latin-1"), "not UTF-8"),
        (b"\x00" * 500_000, "first line is not readable"),
        (b"x" * (LARGEST_FILE + 1), "at most 1,000,000 fit"),
    ],
)
def test_what_is_no_such_table_is_refused_whole(context: None, content: bytes, said: str) -> None:
    with pytest.raises(InvalidError) as refused:
        preview(content)
    assert said in str(refused.value)


def test_who_is_here_stays_as_they_are(app: Flask, people: People, context: None) -> None:
    content = f"book_no,name,role\n{people.volunteer.book_no},Other Name,admin\n{people.other.book_no},Imran Pasha,\n"
    found = preview(content.encode())
    assert [(each.person.name, each.differs) for each in found.known] == [("Asha Rao", True), ("Imran Pasha", False)]
    with pytest.raises(ConflictError, match="here already"), writing():
        people_file.begin(found, by=people.admin, title="x")


def begin(people: People, number: int, *, bad: int = 0) -> Job:
    rows = [f"{1000 + each},Person {each},{'coordinator' if each % 100 == 0 else ''}" for each in range(number)]
    content = "\n".join(["book_no,name,role", *rows, *["x,y,z"] * bad]).encode()
    with writing():
        return people_file.begin(preview(content), by=people.admin, title="list.csv", keep_good=True)


def imported() -> tuple[int, int, int]:
    """How many people of the file there are, of them coordinators, and entries of the trail that add them."""
    db.session.rollback()
    these = Person.book_no >= 1000
    count = select(func.count()).select_from(Person).where(these)
    entries = (
        select(func.count())
        .select_from(Entry)
        .join(Person, Person.id == Entry.person_id)
        .where(these, Entry.action == Action.PERSON_ADDED)
    )
    return (
        db.session.scalar(count) or 0,
        db.session.scalar(count.where(Person.role == Role.COORDINATOR)) or 0,
        db.session.scalar(entries) or 0,
    )


def test_the_job_adds_everybody_some_at_a_time_and_keeps_no_file(app: Flask, people: People, context: None) -> None:
    job = begin(people, 450, bad=2)
    factories.person("Came Meanwhile", book_no=1007)
    factories.do_jobs()
    found = jobs.by_id(job.id)
    assert found
    assert (found.status, found.done, found.total) == (Status.DONE, 450, 450)
    assert found.found == {"new_people": 449, "unchanged": 1, "bad": 2}
    assert imported() == (450, 5, 450)
    assert db.session.scalars(select(Upload)).all() == []
    known = accounts.by_book_no(1007)
    assert known
    assert known.name == "Came Meanwhile"
    told = db.session.scalars(select(Entry).where(Entry.action == Action.PEOPLE_IMPORTED)).one()
    assert (told.by_id, told.job_id, told.facts["new_people"]) == (people.admin.id, job.id, 449)
    assert list(verify.differences()) == []


def test_bad_lines_are_left_out_only_if_that_is_wished(app: Flask, people: People, context: None) -> None:
    found = preview(b"book_no,name\n100,Good\nx,Bad\n")
    with pytest.raises(ConflictError, match="1 bad row"), writing():
        people_file.begin(found, by=people.admin, title="x")
    assert db.session.scalars(select(Job)).all() == []


def test_a_cancelled_job_leaves_whole_rows(app: Flask, people: People, context: None) -> None:
    job = begin(people, 450)
    worker._next(job.id)  # it is taken up
    worker._next(job.id)  # and a batch is done
    with writing():
        jobs.cancel(db.session.get_one(Job, job.id))
    factories.do_jobs()
    found = jobs.by_id(job.id)
    assert found
    assert (found.status, found.done) == (Status.CANCELLED, 200)
    assert imported() == (200, 2, 200)


def test_a_job_whose_file_is_gone_says_so(app: Flask, people: People, context: None) -> None:
    job = begin(people, 5)
    with writing():
        for part in db.session.scalars(select(Upload)):
            db.session.delete(part)
    factories.do_jobs()
    found = jobs.by_id(job.id)
    assert found
    assert found.status is Status.FAILED
    assert "not here any more" in str(found.problem)


def test_killed_in_the_middle_it_goes_on_from_where_it_stood(
    app: Flask, people: People, context: None, database_url: str, tmp_path: Path
) -> None:
    """Killed with SIGKILL: nobody is added twice, nobody is left out."""
    number = 5_000
    job = begin(people, number)
    environment = os.environ | {"DATABASE_URL": database_url, "INSTANCE_PATH": str(tmp_path), "SECRET_KEY": SECRET}
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "work"]

    def is_at(least: int) -> bool:
        db.session.rollback()
        found = jobs.by_id(job.id)
        assert found
        return found.done >= least and (least < number or not found.is_open)

    root = Path(__file__).parents[2]
    db.session.rollback()
    for at_least in (1_000, number):
        with subprocess.Popen(command, cwd=root, env=environment, stderr=subprocess.DEVNULL) as process:
            try:
                until(partial(is_at, at_least), "the job does not go on")
            finally:
                process.send_signal(signal.SIGKILL)
    found = jobs.by_id(job.id)
    assert found
    assert (found.status, found.found) == (Status.DONE, {"new_people": number, "unchanged": 0, "bad": 0})
    assert imported() == (number, 50, number)
    assert list(verify.differences()) == []
