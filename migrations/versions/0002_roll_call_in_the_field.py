"""What the roll call in the field keeps: cards, operations, closings, and when an attendance changed.

As in the first migration, every step looks before it acts.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
LONG_AGO = "1970-01-01 00:00:00+00:00"  # only until the next statement


def has(table: str, column: str) -> bool:
    return any(each["name"] == column for each in sa.inspect(op.get_bind()).get_columns(table))


def add(table: str, column: sa.Column[object]) -> None:
    if not has(table, column.name):
        op.add_column(table, column)


def upgrade() -> None:
    create = {"if_not_exists": True}
    add("person", sa.Column("card_no", sa.Integer, nullable=False, server_default="1"))
    add("attendance", sa.Column("declined_at", INSTANT))
    add("attendance", sa.Column("presumed", sa.Boolean, nullable=False, server_default=sa.false()))
    add("attendance", sa.Column("changed_at", INSTANT, nullable=False, server_default=LONG_AGO))
    op.execute("UPDATE attendance SET changed_at = coalesce(marked_at, created_at)")
    op.drop_index("ix_attendance_camp_id", "attendance", if_exists=True)
    op.create_index("ix_attendance_camp_id_changed_at", "attendance", ["camp_id", "changed_at"], **create)
    op.create_table(
        "closing",
        sa.Column("camp_id", sa.Uuid, sa.ForeignKey("camp.id"), primary_key=True),
        sa.Column("closed_at", INSTANT, nullable=False),
        sa.Column("closed_by_id", sa.Uuid, sa.ForeignKey("person.id"), nullable=False),
        **create,
    )
    op.create_table(
        "operation",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("by_id", sa.Uuid, sa.ForeignKey("person.id"), nullable=False),
        sa.Column("camp_id", sa.Uuid, sa.ForeignKey("camp.id"), nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("order", sa.JSON, nullable=False),
        sa.Column("made_at", INSTANT, nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
        **create,
    )
    op.create_index("ix_operation_camp_id", "operation", ["camp_id"], **create)


def downgrade() -> None:
    op.drop_table("operation", if_exists=True)
    op.drop_table("closing", if_exists=True)
    op.drop_index("ix_attendance_camp_id_changed_at", "attendance", if_exists=True)
    op.create_index("ix_attendance_camp_id", "attendance", ["camp_id"], if_not_exists=True)
    for table, column in (
        ("attendance", "changed_at"),
        ("attendance", "presumed"),
        ("attendance", "declined_at"),
        ("person", "card_no"),
    ):
        if has(table, column):
            op.drop_column(table, column)
