"""The first tables, the nine badges and the first site.

Every step looks before it acts: an upgrade that was interrupted, or a database that holds some of the
tables already, is completed rather than refused.
"""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

NINE_BADGES = [
    # name, criteria type, value, description, shape, metal, ribbon, emblem
    ("First Step", "visits", 1, "first camp visit", "round", "copper", "marigold", "footprint"),
    ("Certified Volunteer", "visits", 3, "3 camp visits", "scalloped", "copper", "teal", "check"),
    ("On a Roll", "consecutive_visits", 3, "3 consecutive camp visits", "flame", "copper", "red", "links"),
    ("Consistent Volunteer", "visits", 5, "5 camp visits", "hexagon", "bronze", "teal", "calendar"),
    ("Bronze Volunteer", "visits", 6, "6 camp visits", "shield", "bronze", "marigold", "lotus"),
    ("Century Contributor", "visits", 10, "10 camp visits", "hexagon", "silver", "indigo", "heart"),
    ("Silver Volunteer", "visits", 12, "12 camp visits", "shield", "silver", "teal", "lotus"),
    ("Gold Volunteer", "visits", 20, "20 camp visits", "shield", "gold", "marigold", "lotus"),
    ("Elite Volunteer", "visits", 36, "36 camp visits", "star", "enamel", "indigo", "lamp"),
]
NAMESPACE = uuid.UUID("6a4f8a0e-52f1-4e58-9d38-1f0a7c1f5b11")  # gives the first rows the same ids everywhere

INSTANT = sa.DateTime(timezone=True)


def choice(name: str, *values: str, length: int = 16) -> sa.Enum:
    return sa.Enum(*values, native_enum=False, length=length, create_constraint=True, name=name)


def upgrade() -> None:
    create = {"if_not_exists": True}
    op.create_table(
        "setting",
        sa.Column("key", sa.String(40), primary_key=True),
        sa.Column("value", sa.String(200), nullable=False),
        **create,
    )
    op.create_table(
        "person",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("book_no", sa.Integer, nullable=False, unique=True),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("search_name", sa.String(480), nullable=False),
        sa.Column("role", choice("role", "volunteer", "coordinator", "admin"), nullable=False),
        sa.Column("is_active", sa.Boolean, nullable=False),
        sa.Column("password_hash", sa.String(200)),
        sa.Column("session_no", sa.Integer, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("book_no > 0", name="book_no_positive"),
        **create,
    )
    op.create_index("ix_person_search_name", "person", ["search_name"], **create)
    op.create_table(
        "site",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("name", sa.String(120), nullable=False, unique=True),
        sa.Column("time_zone", sa.String(64), nullable=False),
        **create,
    )
    op.create_table(
        "camp",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("site_id", sa.Uuid, sa.ForeignKey("site.id"), nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("camp_date", sa.Date, nullable=False),
        sa.Column("start_time", sa.Time, nullable=False),
        sa.Column("status", choice("status", "scheduled", "cancelled"), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.UniqueConstraint("site_id", "camp_date", "name"),
        **create,
    )
    op.create_index("ix_camp_camp_date", "camp", ["camp_date"], **create)
    op.create_table(
        "attendance",
        sa.Column("person_id", sa.Uuid, sa.ForeignKey("person.id"), primary_key=True),
        sa.Column("camp_id", sa.Uuid, sa.ForeignKey("camp.id"), primary_key=True),
        sa.Column("camp_role", choice("camp_role", "volunteer", "doctor", "coordinator"), nullable=False),
        sa.Column("state", choice("state", "expected", "present", "excused", "absent"), nullable=False),
        sa.Column("reason", sa.String(200)),
        sa.Column("signed_up_as", choice("signed_up_as", "volunteer", "doctor", "coordinator")),
        sa.Column("marked_at", INSTANT),
        sa.Column("marked_by_id", sa.Uuid, sa.ForeignKey("person.id")),
        sa.Column("left_at", INSTANT),
        sa.Column("created_at", INSTANT, nullable=False),
        **create,
    )
    op.create_index("ix_attendance_camp_id", "attendance", ["camp_id"], **create)
    badge = op.create_table(
        "badge",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("name", sa.String(60), nullable=False, unique=True),
        sa.Column("description", sa.String(200), nullable=False),
        sa.Column("criteria_type", choice("criteria_type", "visits", "consecutive_visits", length=24), nullable=False),
        sa.Column("criteria_value", sa.Integer, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("shape", sa.String(16), nullable=False),
        sa.Column("metal", sa.String(16), nullable=False),
        sa.Column("ribbon", sa.String(16), nullable=False),
        sa.Column("emblem", sa.String(16), nullable=False),
        sa.Column("is_active", sa.Boolean, nullable=False),
        sa.CheckConstraint("criteria_value > 0", name="criteria_value_positive"),
        **create,
    )
    op.create_table(
        "award",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("person_id", sa.Uuid, sa.ForeignKey("person.id"), nullable=False),
        sa.Column("badge_id", sa.Uuid, sa.ForeignKey("badge.id"), nullable=False),
        sa.Column("camp_id", sa.Uuid, sa.ForeignKey("camp.id"), nullable=False),
        sa.Column("earned_at", INSTANT, nullable=False),
        sa.Column("revoked_at", INSTANT),
        sa.UniqueConstraint("person_id", "badge_id"),
        **create,
    )
    op.create_table(
        "revocation",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("award_id", sa.Uuid, sa.ForeignKey("award.id"), nullable=False),
        sa.Column("revoked_at", INSTANT, nullable=False),
        sa.Column("revoked_by_id", sa.Uuid, sa.ForeignKey("person.id")),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.Column("returned_at", INSTANT),
        **create,
    )
    op.create_index("ix_revocation_award_id", "revocation", ["award_id"], **create)

    connection = op.get_bind()
    known = set(connection.scalars(sa.select(badge.c.name)))
    badges = [
        {
            "id": uuid.uuid5(NAMESPACE, name),
            "name": name,
            "description": f"Awarded for {reached}",
            "criteria_type": criteria_type,
            "criteria_value": value,
            "position": position,
            "shape": shape,
            "metal": metal,
            "ribbon": ribbon,
            "emblem": emblem,
            "is_active": True,
        }
        for position, (name, criteria_type, value, reached, shape, metal, ribbon, emblem) in enumerate(
            NINE_BADGES, start=1
        )
        if name not in known
    ]
    if badges:
        connection.execute(sa.insert(badge), badges)
    site = sa.table("site", sa.column("id", sa.Uuid), sa.column("name", sa.String), sa.column("time_zone", sa.String))
    if not connection.scalar(sa.select(sa.func.count()).select_from(site)):
        first = {"id": uuid.uuid5(NAMESPACE, "site"), "name": "Main site", "time_zone": "Asia/Kolkata"}
        connection.execute(sa.insert(site), [first])


def downgrade() -> None:
    for table in ("revocation", "award", "badge", "attendance", "camp", "site", "person", "setting"):
        op.drop_table(table, if_exists=True)
