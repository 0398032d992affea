"""Organisations of any size for the benchmarks, made by the database itself so that millions take minutes."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import select, text

from webapp.database import analyze, db, writing
from webapp.domain.camps import calendar
from webapp.domain.evaluation import bulk
from webapp.domain.people import accounts, credentials
from webapp.domain.people.accounts import Role
from webapp.domain.schedule import schedule

SECRET = "only-for-benchmarks"

# Fifty given names and fifty others make 2,500 full names; every one is borne by many people.
GIVEN = [
    "Aarav",
    "Aditi",
    "Ajay",
    "Amina",
    "Anand",
    "Anita",
    "Arjun",
    "Asha",
    "Bala",
    "Chitra",
    "Deepa",
    "Divya",
    "Farhan",
    "Fathima",
    "Gauri",
    "Geetha",
    "Hari",
    "Imran",
    "Indu",
    "Ishaan",
    "Jaya",
    "Joseph",
    "Kamala",
    "Karthik",
    "Kavitha",
    "Lakshmi",
    "Leela",
    "Mahesh",
    "Manju",
    "Mary",
    "Meera",
    "Mohan",
    "Nadia",
    "Naveen",
    "Nisha",
    "Omkar",
    "Padma",
    "Pooja",
    "Prakash",
    "Priya",
    "Radha",
    "Rahul",
    "Ravi",
    "Rekha",
    "Rohit",
    "Sanjay",
    "Shanti",
    "Sunita",
    "Usha",
    "Vijay",
]
FAMILY = [
    "Acharya",
    "Agarwal",
    "Ali",
    "Babu",
    "Bhat",
    "Chandra",
    "Chatterjee",
    "Das",
    "Desai",
    "Devi",
    "Dsouza",
    "Fernandes",
    "Gandhi",
    "Gowda",
    "Gupta",
    "Hegde",
    "Iyer",
    "Iyengar",
    "Jain",
    "Jha",
    "Joshi",
    "Kamath",
    "Kapoor",
    "Kaur",
    "Khan",
    "Kulkarni",
    "Kumar",
    "Lal",
    "Menon",
    "Mishra",
    "Murthy",
    "Naidu",
    "Nair",
    "Pasha",
    "Patel",
    "Patil",
    "Pillai",
    "Rao",
    "Rathore",
    "Reddy",
    "Saxena",
    "Sen",
    "Sharma",
    "Shetty",
    "Singh",
    "Sundaram",
    "Thomas",
    "Varma",
    "Verma",
    "Yadav",
]


@dataclass(frozen=True, slots=True)
class Shape:
    """An organisation: people, held camps spread evenly over sites (weekly at each), and visits.

    ``visits`` is how many a person has made on average.
    With ``always`` everybody came to each camp of each site but the last, whatever ``visits`` says.
    """

    people: int
    camps: int
    visits: int
    sites: int = 1
    always: bool = False

    def __str__(self) -> str:
        return f"{self.people:,} people, {self.camps:,} camps, {self.people * self.visits:,} attendances"


def fill(app: Flask, shape: Shape) -> None:
    """Fill an empty PostgreSQL database: a camp of each site is today, an admin has book number 1."""
    with app.app_context():
        upgrade()
        with writing():
            for number in range(2, shape.sites + 1):
                calendar.add_site(f"Site {number:02}")
            accounts.add_person("Admin", book_no=1, role=Role.ADMIN)
        with writing():
            trusted()
            _fill(shape)
        with writing():
            analyze(*(db.metadata.tables[name] for name in ("person", "camp", "attendance")))
        evaluate(app)
        db.session.remove()
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))


def bring_up_to_date(app: Flask) -> None:
    """See to it that an organisation filled before has the tables of now, and each of its sites a camp today."""
    with app.app_context():
        upgrade()
        held = {camp.site_id for camp in calendar.camps_of_today()}
        for site in calendar.sites():
            if site.id not in held:
                with writing():
                    schedule.add_camp(site, "Camp", site.today)
        db.session.remove()


def evaluate(app: Flask) -> None:
    """Awards and totals of everybody."""
    after = None
    with app.app_context():
        while True:
            with writing():
                trusted()
                after = bulk.evaluate_slice(after, None, bulk.Evaluated())
            if after is None:
                return


def trusted() -> None:
    """What is made here keeps to the foreign keys; they need not be looked up twenty million times."""
    db.session.execute(text("SET LOCAL session_replication_role = replica"))


# A person belongs to one site, one in five to two, and came at regular distances with some luck.
_CAME_AT_TIMES = (
    " FROM (SELECT id, book_no, CAST(floor(random() * (2 * :visits + 1)) AS int) AS visits FROM person WHERE book_no > 1"
    "       ORDER BY id) AS person"
    " CROSS JOIN LATERAL (SELECT greatest(1, CAST(floor((:weeks - 1) / greatest(person.visits, 1)"
    "   * (0.3 + 0.7 * random())) AS int)) AS stride) AS pace"
    " CROSS JOIN LATERAL generate_series(0, least(person.visits, (:weeks - 1) / pace.stride) - 1) AS turn"
    " CROSS JOIN LATERAL (SELECT CAST((person.book_no + CASE WHEN person.book_no % 5 = 0 THEN turn % 2 ELSE 0 END) % :sites"
    "   AS bigint) AS site_no, CAST(:weeks - 2 - turn * pace.stride - floor(random() * pace.stride) AS bigint) AS week) AS spot"
    " JOIN place ON place.site_no = spot.site_no AND place.week = spot.week"
)


def _fill(shape: Shape) -> None:
    run = db.session.execute
    names = {"given": GIVEN, "family": FAMILY, "people": shape.people}
    run(
        text(
            "INSERT INTO person (id, book_no, name, search_name, role, is_active, opted_out, session_no, card_no, created_at)"
            " SELECT gen_random_uuid(), i + 1, name, lower(name), 'volunteer', true, false, 1, 1, now() FROM"
            " (SELECT i, (CAST(:given AS text[]))[1 + i * 7919 % 50] || ' ' || (CAST(:family AS text[]))[1 + i * 104729 / 50 % 50]"
            "  AS name FROM generate_series(1, CAST(:people AS bigint)) AS i) AS named"
        ),
        names,
    )
    weeks = shape.camps // shape.sites
    run(
        text(
            "INSERT INTO camp (id, site_id, name, camp_date, start_time, status, created_at)"
            " SELECT gen_random_uuid(), site.id, 'Camp', CAST((now() AT TIME ZONE 'Asia/Kolkata') AS date) - 7 * (:weeks - week),"
            " '09:00', 'scheduled', now() FROM site CROSS JOIN generate_series(1, :weeks) AS week"
        ),
        {"weeks": weeks},
    )
    run(
        text(
            "CREATE TEMPORARY TABLE place AS SELECT id AS camp_id, site_id, camp_date, dense_rank() OVER (ORDER BY site_id) - 1"
            " AS site_no, row_number() OVER (PARTITION BY site_id ORDER BY camp_date) - 1 AS week FROM camp"
        )
    )
    run(text("CREATE UNIQUE INDEX ON place (site_no, week)"))
    run(text("ANALYZE place"))
    came = (
        " FROM person CROSS JOIN place WHERE person.book_no > 1 AND place.week < :weeks - 1"
        if shape.always
        else _CAME_AT_TIMES
    )
    run(
        text(
            "INSERT INTO attendance (person_id, site_id, camp_date, camp_id, camp_role, state, signed_up_as, presumed,"
            " marked_at, created_at, changed_at) SELECT person.id, place.site_id, place.camp_date, place.camp_id,"
            " 'volunteer', 'present', 'volunteer', false, now(), now(), now()" + came
        ),
        {"weeks": weeks} | ({} if shape.always else {"visits": shape.visits, "sites": shape.sites}),
    )
    run(text("DROP TABLE place"))


def floor_tables(connection: "psycopg.Connection[Any]") -> None:
    """What the floor writes to: a table like the peer's, beside ours."""
    connection.execute("DROP TABLE IF EXISTS floor_attendance, floor_camp")
    connection.execute("CREATE TABLE floor_camp AS SELECT id FROM camp ORDER BY camp_date DESC LIMIT 1")
    connection.execute(
        "CREATE TABLE floor_attendance (id uuid PRIMARY KEY, user_id uuid NOT NULL REFERENCES person, camp_id uuid NOT NULL"
        " REFERENCES camp, camp_role varchar(20) NOT NULL, attendance boolean NOT NULL, UNIQUE (user_id, camp_id))"
    )
    connection.execute("CREATE INDEX ON floor_attendance (user_id)")
    connection.execute("CREATE INDEX ON floor_attendance (camp_id)")
    # As much history as we have, so that its indexes are as deep.
    connection.execute(
        "INSERT INTO floor_attendance SELECT gen_random_uuid(), person_id, camp_id, 'volunteer', true FROM attendance"
    )


def token_of(app: Flask, book_no: int) -> str:
    """A bearer token."""
    with app.app_context():
        person = accounts.by_book_no(book_no)
        assert person
        return credentials.issue_token(person, SECRET)


def person_ids(app: Flask, number: int) -> list[str]:
    """The ids of volunteers in an arbitrary order."""
    with app.app_context():
        query = select(accounts.Person.id).where(accounts.Person.book_no > 1).order_by(accounts.Person.id).limit(number)
        return [str(each) for each in db.session.scalars(query)]


def camp_of_today() -> calendar.Camp:
    """One of today's camps."""
    return calendar.camps_of_today(most=1)[0]


def people_to_mark(number: int) -> list[tuple[UUID, UUID]]:
    """People from all over the ids who are marked nowhere today, each with today's camp of a site they know."""
    todays = select(calendar.Camp.id).where(calendar.Camp.id.in_([camp.id for camp in calendar.camps_of_today()]))
    rows = db.session.execute(
        text(
            "SELECT DISTINCT ON (person.id) person.id, camp.id FROM (SELECT id FROM person WHERE role = 'volunteer'"
            " ORDER BY id LIMIT 20000) AS person JOIN attendance ON attendance.person_id = person.id"
            " JOIN camp ON camp.site_id = attendance.site_id AND camp.id = ANY(:todays)"
            " WHERE NOT EXISTS (SELECT 1 FROM attendance AS marked WHERE marked.person_id = person.id AND marked.camp_id = ANY(:todays))"
            " LIMIT :number"
        ),
        {"number": number, "todays": list(db.session.scalars(todays))},
    )
    return [(person_id, camp_id) for person_id, camp_id in rows]
