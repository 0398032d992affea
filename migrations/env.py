"""Runs the migrations, one process at a time and in one transaction."""

from alembic import context
from alembic.script import ScriptDirectory
from sqlalchemy import text

from webapp.database import db, writing
from webapp.domain import organisation, settling

STANDINGS = "standings"  # the setting by which a migration leaves word
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
            is_newest = context.get_context().get_current_heads() == tuple(_heads())
    if is_newest:
        settle_once()


def _heads() -> list[str]:
    return ScriptDirectory.from_config(context.config).get_heads()


def settle_once() -> None:
    """Work out the standings, where a migration left word that nobody has yet. Only here, after the last
    migration, do the tables have the form that the code knows.
    """
    with writing():
        if organisation.get(STANDINGS):
            settling.settle()
            organisation.drop(STANDINGS)


run_migrations()
