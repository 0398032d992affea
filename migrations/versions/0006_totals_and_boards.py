"""Totals of each person and site, boards as snapshots, a calendar version of each site, and a third
kind of badge: camps within a calendar year.

As in the earlier migrations, every step looks before it acts. The totals are filled as people come,
and by a job; the setting tells that they are not all there yet.
"""

from collections.abc import Sequence
from datetime import date, timedelta

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
CRITERIA = ("visits", "consecutive_visits", "visits_in_year")


def columns_of(table: str) -> set[str]:
    inspector = sa.inspect(op.get_bind())
    return {each["name"] for each in inspector.get_columns(table)} if inspector.has_table(table) else set()


def allow_criteria(before: Sequence[str], words: Sequence[str]) -> None:
    """Hold the criteria types of badges and their versions to these words, not those before."""
    bind = op.get_bind()
    old, new = (f"criteria_type IN ({', '.join(map(repr, some))})" for some in (before, words))
    if bind.dialect.name == "postgresql":
        for table in ("badge", "definition"):
            name = f"ck_{table}_criteria_type"
            op.execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}")
            op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({new})")
        return
    # A table that others refer to cannot be made anew in a transaction; SQLite's own way to change
    # a CHECK (lang_altertable.html) is to write it into the schema, and to say that it is another.
    version = bind.execute(sa.text("PRAGMA schema_version")).scalar_one()
    op.execute("PRAGMA writable_schema = ON")
    bind.execute(
        sa.text(
            "UPDATE sqlite_master SET sql = replace(sql, :old, :new)"
            " WHERE type = 'table' AND name IN ('badge', 'definition')"
        ),
        {"old": old, "new": new},
    )
    op.execute(f"PRAGMA schema_version = {version + 1}")
    op.execute("PRAGMA writable_schema = OFF")


def upgrade() -> None:
    create = {"if_not_exists": True}
    allow_criteria(CRITERIA[:2], CRITERIA)
    if "calendar_version" not in columns_of("site"):
        op.add_column("site", sa.Column("calendar_version", sa.Integer, nullable=False, server_default="1"))
    if "recent_from" in columns_of("site"):
        op.drop_column("site", "recent_from")
    op.drop_table("tally", if_exists=True)
    op.drop_table("standing", if_exists=True)
    op.create_table(
        "totals",
        sa.Column("person_id", sa.Uuid, sa.ForeignKey("person.id"), primary_key=True),
        sa.Column("site_id", sa.Uuid, sa.ForeignKey("site.id"), primary_key=True),
        sa.Column("visits", sa.Integer, nullable=False),
        sa.Column("longest_streak", sa.Integer, nullable=False),
        sa.Column("streak", sa.Integer, nullable=False),
        sa.Column("last_visit", sa.Date),
        sa.Column("visits_in_year", sa.Integer, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        **create,
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE totals SET (fillfactor = 80)")  # a row is updated in place (HOT)
    op.create_table(
        "board",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("site_id", sa.Uuid, nullable=False),
        sa.Column("period", sa.SmallInteger, nullable=False),
        sa.Column("rank_by", sa.String(16), nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("as_of", INSTANT, nullable=False),
        sa.Column("seen_entry_id", sa.Uuid),
        sa.Column("dates", sa.String(100), nullable=False),
        sa.Column("took", sa.Integer, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        **create,
    )
    op.create_index(
        "ix_board_site_id_period_rank_by_generation",
        "board",
        ["site_id", "period", "rank_by", "generation"],
        unique=True,
        **create,
    )
    op.create_table(
        "board_line",
        sa.Column("board_id", sa.Uuid, primary_key=True),
        sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("person_id", sa.Uuid, nullable=False),
        sa.Column("visits", sa.Integer, nullable=False),
        sa.Column("longest_streak", sa.Integer, nullable=False),
        sa.Column("badges", sa.Integer, nullable=False),
        **create,
    )
    op.create_index(
        "ix_board_line_board_id_person_id",
        "board_line",
        ["board_id", "person_id"],
        unique=True,
        **create,
    )
    op.create_table(
        "board_request",
        sa.Column("site_id", sa.Uuid, primary_key=True),
        sa.Column("period", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("rank_by", sa.String(16), primary_key=True),
        sa.Column("since", INSTANT, nullable=False),
        sa.Column("told_at", INSTANT, nullable=False),
        **create,
    )
    op.execute("DELETE FROM setting WHERE key IN ('standings', 'totals')")
    op.execute(
        "INSERT INTO setting (key, value) SELECT 'totals', 'to be filled' WHERE EXISTS (SELECT 1 FROM attendance)"
    )


def downgrade() -> None:
    for table in ("board_request", "board_line", "board", "totals"):
        op.drop_table(table, if_exists=True)
    op.execute("DELETE FROM setting WHERE key = 'totals'")
    # What the former version does not know: badges of the third kind, with all that hangs on them.
    third = "SELECT id FROM badge WHERE criteria_type = 'visits_in_year'"
    for table in ("revocation", "award", "definition"):
        op.execute(f"DELETE FROM {table} WHERE badge_id IN ({third})")  # noqa: S608 - our own names
    op.execute("DELETE FROM definition WHERE criteria_type = 'visits_in_year'")
    op.execute("DELETE FROM badge WHERE criteria_type = 'visits_in_year'")
    allow_criteria(CRITERIA, CRITERIA[:2])
    if "calendar_version" in columns_of("site"):
        op.drop_column("site", "calendar_version")
    if "recent_from" not in columns_of("site"):
        tomorrow_a_year_ago = date.today() - timedelta(days=364)  # noqa: DTZ011 - as in 0003
        op.add_column(
            "site",
            sa.Column(
                "recent_from",
                sa.Date,
                nullable=False,
                server_default=tomorrow_a_year_ago.isoformat(),
            ),
        )
    create_standings()


def create_standings() -> None:
    """Make the tables of the former version. Its own code works them out after its upgrade."""
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
    )
    for figure in ("visits", "longest_streak", "badges"):
        op.create_index(
            f"ix_standing_{figure}",
            "standing",
            ["site_id", "period", sa.text(f"{figure} DESC"), "search_name", "book_no"],
            postgresql_where=sa.text("is_listed IS true"),
            sqlite_where=sa.text("is_listed IS 1"),
        )
    op.create_table(
        "tally",
        sa.Column("site_id", sa.Uuid, nullable=False),
        sa.Column("period", sa.SmallInteger, nullable=False),
        sa.Column("measure", sa.String(16), nullable=False),
        sa.Column("value", sa.Integer, nullable=False),
        sa.Column("people", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_tally_board", "tally", ["site_id", "period", "measure", "value"])
    op.execute("INSERT INTO setting (key, value) VALUES ('standings', 'to be worked out')")
