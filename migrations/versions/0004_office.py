"""The admin's office: the audit trail, jobs and what they read, the definitions of badges, links for passwords.

As in the earlier migrations, every step looks before it acts.
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
ACTIONS = (
    "present", "excused", "absent", "undone", "signed_up", "coming", "not_coming", "left", "stayed", "closed",
    "reopened", "evaluated", "person_added", "person_changed", "role_changed", "deactivated", "reactivated",
    "link_made", "password_set", "card_replaced", "data_downloaded", "anonymised", "opted_out", "opted_in",
    "site_added", "site_changed", "camp_added", "camp_changed", "camp_cancelled", "camp_reinstated", "badge_added",
    "badge_changed", "badge_retired", "badge_reinstated", "backfilled", "imported", "people_imported", "exported",
    "settings_changed",
)  # fmt: skip


def choice(name: str, length: int, *values: str) -> sa.Enum:
    return sa.Enum(*values, native_enum=False, length=length, create_constraint=True, name=name)


def columns_of(table: str) -> set[str]:
    inspector = sa.inspect(op.get_bind())
    return {each["name"] for each in inspector.get_columns(table)} if inspector.has_table(table) else set()


def upgrade() -> None:
    create = {"if_not_exists": True}
    if "anonymised_at" not in columns_of("person"):
        op.add_column("person", sa.Column("anonymised_at", INSTANT))
    for table in ("badge", "award"):
        if "version" not in columns_of(table):
            op.add_column(table, sa.Column("version", sa.Integer, nullable=False, server_default="1"))
    if "found_later" not in columns_of("award"):
        op.add_column("award", sa.Column("found_later", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_table(
        "definition",
        sa.Column("badge_id", sa.Uuid, sa.ForeignKey("badge.id"), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("criteria_type", choice("criteria_type", 24, "visits", "consecutive_visits"), nullable=False),
        sa.Column("criteria_value", sa.Integer, nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        **create,
    )
    op.get_bind().execute(
        sa.text(
            "INSERT INTO definition (badge_id, version, criteria_type, criteria_value, since)"
            " SELECT id, version, criteria_type, criteria_value, :now FROM badge"
            " WHERE NOT EXISTS (SELECT 1 FROM definition WHERE definition.badge_id = badge.id)"
        ).bindparams(sa.bindparam("now", datetime.now(UTC), type_=INSTANT))
    )
    op.create_table(
        "password_link",
        sa.Column("person_id", sa.Uuid, sa.ForeignKey("person.id"), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("session_no", sa.Integer, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("made_by_id", sa.Uuid, sa.ForeignKey("person.id"), nullable=False),
        **create,
    )
    op.create_table(
        "entry",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("by_id", sa.Uuid),
        sa.Column("device", sa.String(80), nullable=False),
        sa.Column("action", choice("action", 24, *ACTIONS), nullable=False),
        sa.Column("person_id", sa.Uuid),
        sa.Column("camp_id", sa.Uuid),
        sa.Column("badge_id", sa.Uuid),
        sa.Column("job_id", sa.Uuid),
        sa.Column("details", sa.Text, nullable=False),
        **create,
    )
    op.create_index("ix_entry_at", "entry", ["at"], **create)
    for column in ("person_id", "by_id", "camp_id"):
        op.create_index(f"ix_entry_{column}_at", "entry", [column, "at"], **create)
    everyday = ("present", "excused", "absent", "undone", "signed_up", "left")
    rare = sa.text(f"action NOT IN ({', '.join(map(repr, everyday))})")
    op.create_index("ix_entry_action_at", "entry", ["action", "at"], postgresql_where=rare, sqlite_where=rare, **create)
    op.create_table(
        "entry_award",
        sa.Column("entry_id", sa.Uuid, primary_key=True),
        sa.Column("person_id", sa.Uuid, primary_key=True),
        sa.Column("badge_id", sa.Uuid, primary_key=True),
        sa.Column("effect", choice("effect", 16, "new", "returned", "revoked"), primary_key=True),
        **create,
    )
    op.create_index("ix_entry_award_person_id_badge_id", "entry_award", ["person_id", "badge_id"], **create)
    op.create_table(
        "job",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("kind", choice("kind", 16, "import_check", "import", "people_import", "backfill"), nullable=False),
        sa.Column(
            "status",
            choice("job_status", 16, "receiving", "queued", "running", "done", "failed", "cancelled"),
            nullable=False,
        ),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("by_id", sa.Uuid, sa.ForeignKey("person.id"), nullable=False),
        sa.Column("started_at", INSTANT),
        sa.Column("seen_at", INSTANT),
        sa.Column("finished_at", INSTANT),
        sa.Column("cancel_asked_at", INSTANT),
        sa.Column("done", sa.Integer, nullable=False),
        sa.Column("total", sa.Integer),
        sa.Column("cursor", sa.Text, nullable=False),
        sa.Column("params", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("problem", sa.String(300)),
        **create,
    )
    op.create_index("ix_job_status", "job", ["status"], **create)
    op.create_index("ix_job_created_at", "job", ["created_at"], **create)
    op.create_table(
        "upload",
        sa.Column("job_id", sa.Uuid, sa.ForeignKey("job.id"), primary_key=True),
        sa.Column("part", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        **create,
    )
    op.create_table(
        "upload_row",
        sa.Column("job_id", sa.Uuid, sa.ForeignKey("job.id"), primary_key=True),
        sa.Column("line", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("book_no", sa.Integer, nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("site", sa.String(120), nullable=False),
        sa.Column("camp", sa.String(120), nullable=False),
        sa.Column("camp_date", sa.Date, nullable=False),
        sa.Column("camp_role", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        **create,
    )
    op.create_index("ix_upload_row_job_id_book_no", "upload_row", ["job_id", "book_no"], **create)
    op.create_table(
        "upload_problem",
        sa.Column("job_id", sa.Uuid, sa.ForeignKey("job.id"), primary_key=True),
        sa.Column("line", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("reason", sa.String(300), nullable=False),
        **create,
    )


COLUMNS = (("person", "anonymised_at"), ("badge", "version"), ("award", "version"), ("award", "found_later"))


def downgrade() -> None:
    tables = ("upload_problem", "upload_row", "upload", "job", "entry_award", "entry", "password_link", "definition")
    for table in tables:
        op.drop_table(table, if_exists=True)
    for table, column in COLUMNS:
        if column in columns_of(table):
            op.drop_column(table, column)
