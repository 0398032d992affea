"""The database: one SQLAlchemy handle, its two engines (SQLite, PostgreSQL) and the write transaction."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as FlaskSession
from sqlalchemy import (
    Column,
    Connection,
    CursorResult,
    Delete,
    Dialect,
    Engine,
    FromClause,
    Insert,
    MetaData,
    Table,
    Update,
    Uuid,
    delete,
    event,
    func,
    insert,
    text,
    types,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.schema import CreateTable
from sqlalchemy.sql.elements import ColumnElement

REPLICA = "replica"  # the name of the second server among the engines
STALE_AFTER = 5  # seconds a connection may lie idle and still be used unasked


class Base(DeclarativeBase):
    """What every table shares: constraint names that are the same on both engines."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Session(FlaskSession):
    """Reads from the replica while :func:`webapp.replica.reading` says so."""

    def get_bind(self, *args: Any, **kwargs: Any) -> Engine | Connection:
        """The connection to the replica, if one is set; else the primary."""
        replica: Connection | None = self.info.get(REPLICA)
        return super().get_bind(*args, **kwargs) if replica is None else replica


# Objects outlive the commit: the view renders what the verb returned without reading it all again.
db = SQLAlchemy(model_class=Base, session_options={"class_": Session, "expire_on_commit": False})
migrate = Migrate(compare_type=True)

if TYPE_CHECKING:
    Model = Base
else:
    Model = db.Model


class Instant(types.TypeDecorator[datetime]):
    """An aware datetime in UTC. SQLite keeps no zone, so it is put back on reading."""

    impl = types.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Raises :class:`ValueError` for an instant without a zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant needs a time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Aware, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def choice(kind: type[StrEnum], name: str, length: int = 16) -> types.Enum:
    """A column type for one of a few words: their values are stored, and held to by a constraint ``name``."""
    return types.Enum(
        kind,
        native_enum=False,
        length=length,
        create_constraint=True,
        values_callable=lambda members: [member.value for member in members],
        name=name,
    )


@event.listens_for(Engine, "connect")
def _prepare_sqlite(connection: Any, record: object) -> None:  # noqa: ARG001
    """WAL lets pages be read while a mark is written; a writer waits up to 10 s for another."""
    if not isinstance(connection, sqlite3.Connection):
        return
    # The driver's own transaction handling begins too late; "_begin_sqlite" does it instead.
    connection.isolation_level = None
    for pragma in ("busy_timeout = 10000", "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


@event.listens_for(Engine, "begin")
def _begin_sqlite(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        mode = "IMMEDIATE" if connection.get_execution_options().get("writing") else "DEFERRED"
        connection.exec_driver_sql(f"BEGIN {mode}")


@event.listens_for(Engine, "checkin")
def _note_use(_connection: object, entry: ConnectionPoolEntry) -> None:
    entry.info["used"] = monotonic()


@event.listens_for(Engine, "checkout")
def _ask_whether_there(connection: Any, entry: ConnectionPoolEntry, _proxy: object) -> None:
    """A connection that lay idle is asked whether the server is still there; one just used is not, for that
    is a round trip of every mark. Where it has died, the request fails and all others are made anew.
    """
    used = entry.info.get("used")
    if used is None or monotonic() - used < STALE_AFTER or not isinstance(connection, psycopg.Connection):
        return
    before = connection.autocommit
    try:
        connection.autocommit = True  # one round trip, and no transaction
        connection.execute("SELECT 1")
        connection.autocommit = before
    except psycopg.Error as error:
        raise InvalidatePoolError from error


@event.listens_for(Engine, "handle_error")
def _leave_a_standby(context: ExceptionContext) -> None:
    """A primary that refuses to write has become a standby, or its address leads to one now: connect anew."""
    refused = isinstance(context.original_exception, psycopg.errors.ReadOnlySqlTransaction)
    if refused and context.engine and not context.engine.get_execution_options().get("postgresql_readonly"):
        context.is_disconnect = True  # type: ignore[misc]  # the documented way


@contextmanager
def writing() -> Iterator[None]:
    """One write transaction: committed at the end of the block, rolled back on any exception.

    On SQLite the write lock is taken at the start. A transaction that read first and wrote later would
    be refused whenever somebody else had written in between, however long it was ready to wait.
    """
    if is_sqlite():
        db.session.commit()
        db.session.connection(execution_options={"writing": True})
    try:
        yield
        db.session.commit()
    except BaseException:
        db.session.rollback()
        raise


def one_at_a_time(work: str) -> None:
    """Wait until no other transaction does this work, and keep others from it until this one ends.

    For work that touches many rows in an order of its own. On SQLite there is one writer anyway.
    """
    if not is_sqlite():
        db.session.execute(text("SELECT pg_advisory_xact_lock(hashtext(:work))"), {"work": work})


def try_one_at_a_time(work: str) -> bool:
    """Like :func:`one_at_a_time`, but where another transaction does this work it is not waited for."""
    if is_sqlite():
        return True
    query = text("SELECT pg_try_advisory_xact_lock(hashtext(:work))")
    return bool(db.session.scalar(query, {"work": work}))


def upsert(model: type[Base], rows: Sequence[Mapping[str, object]]) -> None:
    """Insert rows, or where their primary key is there already give that row these values."""
    if not rows:
        return
    table = model.__table__
    assert isinstance(table, Table)
    query = (sqlite if is_sqlite() else postgresql).insert(table)
    values = {column.name: query.excluded[column.name] for column in table.c if not column.primary_key}
    db.session.execute(query.on_conflict_do_update(index_elements=[*table.primary_key], set_=values), rows)


def copy_rows(table: FromClause, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Insert many rows the quickest way the engine has, without holding them all: COPY, or in batches."""
    assert isinstance(table, Table)
    if is_sqlite():
        remaining = iter(rows)
        while batch := [dict(zip(columns, row, strict=True)) for row in islice(remaining, 5_000)]:
            db.session.execute(insert(table), batch)
        return
    driver = db.session.connection().connection.driver_connection
    assert driver is not None
    names = ", ".join(f'"{column}"' for column in columns)
    with driver.cursor() as cursor, cursor.copy(f'COPY "{table.name}" ({names}) FROM STDIN') as copy:
        for row in rows:
            copy.write_row(row)


_scratch = MetaData()


def scratch(name: str, *columns: Column[Any]) -> Table:
    """A temporary table of each connection's own, emptied with every transaction; see :func:`clear`."""
    return Table(name, _scratch, *columns, prefixes=["TEMPORARY"], postgresql_on_commit="DELETE ROWS")


def clear(*tables: Table) -> None:
    """Make sure that the connection has these temporary tables, and that they are empty."""
    for table in tables:
        db.session.execute(CreateTable(table, if_not_exists=True))
        db.session.execute(delete(table))


def analyze(table: Table) -> None:
    """Tell PostgreSQL's planner what is in a temporary table; nobody else does."""
    if not is_sqlite():
        db.session.execute(text(f'ANALYZE "{table.name}"'))


def rows_changed(statement: Insert | Update | Delete) -> int:
    """Execute a statement; how many rows it inserted, updated or deleted."""
    options = {"preserve_rowcount": True, "synchronize_session": False}
    result = db.session.execute(statement, execution_options=options)
    assert isinstance(result, CursorResult)
    return result.rowcount


def new_id() -> ColumnElement[UUID]:
    """A random UUID, made by the database."""
    return (
        func.gen_random_uuid(type_=Uuid) if not is_sqlite() else func.lower(func.hex(func.randomblob(16)), type_=Uuid)
    )


def is_sqlite() -> bool:
    """Whether the embedded engine is in use."""
    return bool(db.engine.dialect.name == "sqlite")
