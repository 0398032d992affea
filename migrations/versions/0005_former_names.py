"""Names from before a renaming, so that anonymising finds them.

As in the earlier migrations, every step looks before it acts.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "former_name",
        sa.Column("person_id", sa.Uuid, sa.ForeignKey("person.id"), primary_key=True),
        sa.Column("name", sa.String(120), primary_key=True),
        if_not_exists=True,
    )


def downgrade() -> None:
    op.drop_table("former_name", if_exists=True)
