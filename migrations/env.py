"""Runs the migrations, one process at a time and in one transaction."""

from alembic import context
from sqlalchemy import text

from webapp.database import db

LOCK = 7_230_116  # an arbitrary number that only this application's migrations lock


def run_migrations() -> None:
    """Upgrade or downgrade; whoever starts at the same moment waits, then finds the work done."""
    with db.engine.connect() as connection:
        connection = connection.execution_options(writing=True)
        # One transaction, begun here: left to itself, alembic ends one with every step on SQLite, and whoever
        # else has just started takes the next step.
        transaction = connection.begin()
        context.configure(
            connection=connection,
            target_metadata=db.metadata,
            render_as_batch=connection.dialect.name == "sqlite",
        )
        with transaction:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            context.run_migrations()


run_migrations()
