"""Standings and their tally, kept by person; attendance keyed by person, site, date and camp; awards by person
and badge; who opted out of leaderboards.

As in the earlier migrations, every step looks before it acts. The standings of the attendance that is there
are worked out after the last migration, by the code of that day (see env.py).
"""

from collections.abc import Sequence
from datetime import date, timedelta

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def choice(name: str, *values: str) -> sa.Enum:
    return sa.Enum(*values, native_enum=False, length=16, create_constraint=True, name=name)


def columns_of(table: str) -> set[str]:
    inspector = sa.inspect(op.get_bind())
    return {each["name"] for each in inspector.get_columns(table)} if inspector.has_table(table) else set()


def rebuild(table: str, kept: str, parts: Sequence[sa.schema.SchemaItem], columns: Sequence[str]) -> None:
    """Make a table anew in another form; ``kept`` is the query that gives what it held, by these columns."""
    op.execute(f"CREATE TEMPORARY TABLE kept AS {kept}")
    op.drop_table(table)
    op.create_table(table, *parts)
    names = ", ".join(columns)
    op.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM kept")  # noqa: S608 - our own names
    op.execute("DROP TABLE kept")


ATTENDANCE = (
    "person_id", "camp_id", "camp_role", "state", "reason", "signed_up_as", "declined_at", "presumed", "marked_at",
    "marked_by_id", "left_at", "created_at", "changed_at",
)  # fmt: skip


def attendance_parts() -> list[sa.schema.SchemaItem]:
    return [
        sa.Column("camp_role", choice("camp_role", "volunteer", "doctor", "coordinator"), nullable=False),
        sa.Column("state", choice("state", "expected", "present", "excused", "absent"), nullable=False),
        sa.Column("reason", sa.String(200)),
        sa.Column("signed_up_as", choice("signed_up_as", "volunteer", "doctor", "coordinator")),
        sa.Column("declined_at", INSTANT),
        sa.Column("presumed", sa.Boolean, nullable=False),
        sa.Column("marked_at", INSTANT),
        sa.Column("marked_by_id", sa.Uuid, sa.ForeignKey("person.id")),
        sa.Column("left_at", INSTANT),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
    ]


def award_parts() -> list[sa.schema.SchemaItem]:
    return [
        sa.Column("camp_id", sa.Uuid, sa.ForeignKey("camp.id"), nullable=False),
        sa.Column("earned_at", INSTANT, nullable=False),
        sa.Column("revoked_at", INSTANT),
    ]


def revocation_parts() -> list[sa.schema.SchemaItem]:
    return [
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("revoked_at", INSTANT, nullable=False),
        sa.Column("revoked_by_id", sa.Uuid, sa.ForeignKey("person.id")),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.Column("returned_at", INSTANT),
    ]


def upgrade() -> None:
    create = {"if_not_exists": True}
    if "opted_out" not in columns_of("person"):
        op.add_column("person", sa.Column("opted_out", sa.Boolean, nullable=False, server_default=sa.false()))
    if "recent_from" not in columns_of("site"):
        tomorrow_a_year_ago = date.today() - timedelta(days=364)  # noqa: DTZ011 - put right with the first look
        op.add_column(
            "site", sa.Column("recent_from", sa.Date, nullable=False, server_default=tomorrow_a_year_ago.isoformat())
        )
    op.create_index("ix_camp_id_site_id_camp_date", "camp", ["id", "site_id", "camp_date"], unique=True, **create)

    if "site_id" not in columns_of("attendance"):
        rebuild(
            "attendance",
            "SELECT attendance.*, camp.site_id, camp.camp_date"
            " FROM attendance JOIN camp ON camp.id = attendance.camp_id",
            [
                sa.Column("person_id", sa.Uuid, sa.ForeignKey("person.id"), primary_key=True),
                sa.Column("site_id", sa.Uuid, primary_key=True),
                sa.Column("camp_date", sa.Date, primary_key=True),
                sa.Column("camp_id", sa.Uuid, primary_key=True),
                *attendance_parts(),
                sa.ForeignKeyConstraint(
                    ["camp_id", "site_id", "camp_date"],
                    ["camp.id", "camp.site_id", "camp.camp_date"],
                    onupdate="CASCADE",
                ),
            ],
            [*ATTENDANCE, "site_id", "camp_date"],
        )
    op.create_index("ix_attendance_camp_id_changed_at", "attendance", ["camp_id", "changed_at"], **create)

    if "id" in columns_of("award"):
        # The revocations first: they point at the awards.
        op.execute(
            "CREATE TEMPORARY TABLE revoked AS SELECT revocation.*, award.person_id, award.badge_id"
            " FROM revocation JOIN award ON award.id = revocation.award_id"
        )
        op.drop_table("revocation")
        rebuild(
            "award",
            "SELECT * FROM award",
            [
                sa.Column("person_id", sa.Uuid, sa.ForeignKey("person.id"), primary_key=True),
                sa.Column("badge_id", sa.Uuid, sa.ForeignKey("badge.id"), primary_key=True),
                *award_parts(),
            ],
            ["person_id", "badge_id", "camp_id", "earned_at", "revoked_at"],
        )
        op.create_table(
            "revocation",
            sa.Column("person_id", sa.Uuid, nullable=False),
            sa.Column("badge_id", sa.Uuid, nullable=False),
            *revocation_parts(),
            sa.ForeignKeyConstraint(["person_id", "badge_id"], ["award.person_id", "award.badge_id"]),
        )
        op.execute(
            "INSERT INTO revocation (id, person_id, badge_id, revoked_at, revoked_by_id, reason, returned_at)"
            " SELECT id, person_id, badge_id, revoked_at, revoked_by_id, reason, returned_at FROM revoked"
        )
        op.execute("DROP TABLE revoked")
    op.create_index("ix_revocation_person_id_badge_id", "revocation", ["person_id", "badge_id"], **create)

    op.create_table(
        "standing",
        sa.Column("person_id", sa.Uuid, sa.ForeignKey("person.id"), primary_key=True),
        sa.Column("site_id", sa.Uuid, primary_key=True),
        sa.Column("period", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("visits", sa.Integer, nullable=False),
        sa.Column("longest_streak", sa.Integer, nullable=False),
        sa.Column("badges", sa.Integer, nullable=False),
        sa.Column("run", sa.Integer, nullable=False),
        sa.Column("last_visit", sa.Date),
        sa.Column("search_name", sa.String(480), nullable=False),
        sa.Column("book_no", sa.Integer, nullable=False),
        sa.Column("is_listed", sa.Boolean, nullable=False),
        **create,
    )
    for measure in ("visits", "longest_streak", "badges"):
        op.create_index(
            f"ix_standing_{measure}",
            "standing",
            ["site_id", "period", sa.text(f"{measure} DESC"), "search_name", "book_no"],
            postgresql_where=sa.text("is_listed IS true"),
            sqlite_where=sa.text("is_listed IS 1"),
            **create,
        )
    op.create_table(
        "tally",
        sa.Column("site_id", sa.Uuid, nullable=False),
        sa.Column("period", sa.SmallInteger, nullable=False),
        sa.Column("measure", sa.String(16), nullable=False),
        sa.Column("value", sa.Integer, nullable=False),
        sa.Column("people", sa.BigInteger, nullable=False),
        **create,
    )
    op.create_index("ix_tally_board", "tally", ["site_id", "period", "measure", "value"], **create)
    op.execute("DELETE FROM setting WHERE key = 'standings'")
    op.execute("INSERT INTO setting (key, value) VALUES ('standings', 'to be worked out')")


def downgrade() -> None:
    op.drop_table("tally", if_exists=True)
    op.drop_table("standing", if_exists=True)
    op.execute("DELETE FROM setting WHERE key = 'standings'")
    if "award_id" not in columns_of("revocation"):
        # Every award gets an id again: a hash of its key, the same on both engines, would be no UUID of ours.
        bind = op.get_bind()
        op.execute("CREATE TEMPORARY TABLE revoked AS SELECT * FROM revocation")
        op.drop_table("revocation")
        random_id = "gen_random_uuid()" if bind.dialect.name == "postgresql" else "lower(hex(randomblob(16)))"
        rebuild(
            "award",
            f"SELECT award.*, {random_id} AS id FROM award",  # noqa: S608 - our own words
            [
                sa.Column("id", sa.Uuid, primary_key=True),
                sa.Column("person_id", sa.Uuid, sa.ForeignKey("person.id"), nullable=False),
                sa.Column("badge_id", sa.Uuid, sa.ForeignKey("badge.id"), nullable=False),
                *award_parts(),
                sa.UniqueConstraint("person_id", "badge_id"),
            ],
            ["id", "person_id", "badge_id", "camp_id", "earned_at", "revoked_at"],
        )
        op.create_table(
            "revocation",
            sa.Column("award_id", sa.Uuid, sa.ForeignKey("award.id"), nullable=False),
            *revocation_parts(),
        )
        op.execute(
            "INSERT INTO revocation (id, award_id, revoked_at, revoked_by_id, reason, returned_at)"
            " SELECT revoked.id, award.id, revoked.revoked_at, revoked_by_id, reason, returned_at"
            " FROM revoked JOIN award ON award.person_id = revoked.person_id AND award.badge_id = revoked.badge_id"
        )
        op.execute("DROP TABLE revoked")
        op.create_index("ix_revocation_award_id", "revocation", ["award_id"])
    if "site_id" in columns_of("attendance"):
        rebuild(
            "attendance",
            "SELECT * FROM attendance",
            [
                sa.Column("person_id", sa.Uuid, sa.ForeignKey("person.id"), primary_key=True),
                sa.Column("camp_id", sa.Uuid, sa.ForeignKey("camp.id"), primary_key=True),
                *attendance_parts(),
            ],
            ATTENDANCE,
        )
        op.create_index("ix_attendance_camp_id_changed_at", "attendance", ["camp_id", "changed_at"])
    op.drop_index("ix_camp_id_site_id_camp_date", "camp", if_exists=True)
    for table, column in (("site", "recent_from"), ("person", "opted_out")):
        if column in columns_of(table):
            op.drop_column(table, column)
