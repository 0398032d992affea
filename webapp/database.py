"""The database: one SQLAlchemy handle, its two engines (SQLite, PostgreSQL) and the write transaction."""

import fcntl
import sqlite3
import threading
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Any

import psycopg
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
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
    delete,
    event,
    insert,
    text,
    types,
)
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.schema import CreateTable, SchemaItem

LOST = (OperationalError, InterfaceError, PoolTimeoutError)  # how the database is lost, in the driver's words
SQLITE_PATIENCE = 10  # seconds a writer waits for another
SCRATCH = "128MB"  # at most, of PostgreSQL's memory for temporary tables of one connection, until it ends
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


# Objects outlive the commit: the view renders what the verb returned without reading it all again.
db = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": False})
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


class _Cursor(psycopg.Cursor[Any]):
    """Describes its columns by what SQLAlchemy asks of them, name and type: the library's description, an object
    a column with every statement, was a fifteenth of a mark's time.
    """

    @property
    def description(self) -> Any:
        """As the DB API has it; what is not known is ``None``."""
        found = self.pgresult
        if found is None or not (found.nfields or found.status == psycopg.pq.ExecStatus.TUPLES_OK):
            return None
        unknown = (None,) * 5
        return [(str(found.fname(at), "utf-8"), found.ftype(at), *unknown) for at in range(found.nfields)]  # type: ignore[arg-type]


@event.listens_for(Engine, "do_connect")
def _with_cursor(dialect: Dialect, _record: object, _arguments: object, options: dict[str, Any]) -> None:
    if dialect.name == "postgresql":
        options["cursor_factory"] = _Cursor


@event.listens_for(Engine, "connect")
def _prepare_sqlite(connection: Any, record: object) -> None:  # noqa: ARG001
    """WAL lets pages be read while a mark is written; a writer waits up to 10 s for another."""
    if not isinstance(connection, sqlite3.Connection):
        return
    # The driver's own transaction handling begins too late; "_begin_sqlite" does it instead.
    connection.isolation_level = None
    for pragma in (
        f"busy_timeout = {SQLITE_PATIENCE * 1000}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
    ):
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
    if isinstance(context.original_exception, psycopg.errors.ReadOnlySqlTransaction):
        context.is_disconnect = True  # type: ignore[misc]  # the documented way


@contextmanager
def writing() -> Iterator[None]:
    """One write transaction: committed at the end of the block, rolled back on any exception.

    On SQLite the write lock is taken at the start. A transaction that read first and wrote later would
    be refused whenever somebody else had written in between, however long it was ready to wait.
    """
    session = db.session()
    if session.info.get("writing"):
        raise RuntimeError("a write transaction within another would commit that one too early")
    with _turn() if is_sqlite() else nullcontext():
        session.info["writing"] = True
        try:
            if is_sqlite():
                session.commit()
                session.connection(execution_options={"writing": True})
            yield
            session.commit()
        except BaseException:
            session.rollback()
            raise
        finally:
            del session.info["writing"]


DIRECT = "direct"  # the second engine of PostgreSQL, for statements that commit by themselves


@contextmanager
def direct_connection() -> Iterator[Any]:
    """Lend a connection of the driver's own, beside the session's, for statements that commit by themselves.

    On PostgreSQL every statement is a transaction. On SQLite the caller begins and ends one, while no
    other thread of this process writes.
    """
    sqlite = is_sqlite()
    with _turn() if sqlite else nullcontext():
        pooled = (db.engine if sqlite else db.engines[DIRECT]).raw_connection()
        try:
            yield pooled.driver_connection
        except psycopg.OperationalError as error:
            pooled.invalidate(error)
            raise
        finally:
            pooled.close()


@event.listens_for(Engine, "connect")
def _prepare_direct(connection: Any, record: ConnectionPoolEntry) -> None:  # noqa: ARG001
    """With five or more joins PostgreSQL would plan the fast path's question anew each time: 1.3 ms."""
    if (
        isinstance(connection, psycopg.Connection)
        and connection.info.get_parameters().get("application_name") == DIRECT
    ):
        connection.autocommit = True
        connection.prepare_threshold = 0
        connection.execute("SET plan_cache_mode = force_generic_plan")


class _NotMeantError(Exception):
    """Ends what was only tried."""


@contextmanager
def trying() -> Iterator[None]:
    """A write transaction that is rolled back at the end of the block: what would come of it can be read inside.
    Meanwhile it holds whatever the same change would hold.
    """
    try:
        with writing():
            yield
            raise _NotMeantError
    except _NotMeantError:
        pass


_next_writer = threading.Lock()


@contextmanager
def _turn() -> Iterator[None]:
    """The threads of this process write one after the other. SQLite itself would let who comes second sleep for
    up to a tenth of a second, however soon the first is done. Whoever waited in vain asks SQLite after all.
    """
    waited = _next_writer.acquire(timeout=SQLITE_PATIENCE)
    try:
        yield
    finally:
        if waited:
            _next_writer.release()


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


@contextmanager
def only_one(work: str) -> Iterator[bool]:
    """Whether nobody else, in whatever process or on whatever host, does this work; nobody will until the end of
    the block. It outlasts transactions, and ends with the process, however that ends. On SQLite, which is for
    one machine, all such work is one.
    """
    if is_sqlite():
        with open(f"{db.engine.url.database}.lock", "ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        return
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        held = connection.scalar(text("SELECT pg_try_advisory_lock(hashtext(:work))"), {"work": work})
        try:
            yield bool(held)
        finally:
            if held and not connection.invalidated:
                connection.execute(text("SELECT pg_advisory_unlock(hashtext(:work))"), {"work": work})


def snapshot() -> None:
    """Begin a transaction in which everything is read as it is now, whatever is committed meanwhile. Nothing
    lasting can be written in it. On SQLite a transaction that only reads is like that anyway.
    """
    db.session.rollback()
    if not is_sqlite():
        db.session.connection(execution_options={"isolation_level": "REPEATABLE READ"})


def first_time(what: Hashable) -> bool:
    """Whether the running transaction asks this for the first time. What is held stays held until its end."""
    session = db.session()
    transaction = session.get_transaction() or session.begin()
    known: tuple[object, set[Hashable]] = session.info.get("asked", (None, set()))
    if known[0] is not transaction:
        known = session.info["asked"] = (transaction, set())
    if what in known[1]:
        return False
    known[1].add(what)
    return True


def insert_rows(table: FromClause, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert some rows. All name the same columns, and all that have no default in the database."""
    assert isinstance(table, Table)
    if rows:
        db.session.connection().execute(insert(table), rows)


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


def scratch(name: str, *columns: SchemaItem) -> Table:
    """A temporary table of each connection's own, emptied with every transaction; see :func:`clear`."""
    return Table(name, _scratch, *columns, prefixes=["TEMPORARY"], postgresql_on_commit="DELETE ROWS")


def clear(*tables: Table) -> None:
    """Make sure that the connection has these temporary tables, and that they are empty."""
    if not is_sqlite():
        # Else a slice of people goes to the disk and back. After the first temporary table it cannot be set.
        room = text("SELECT set_config('temp_buffers', :most, false) WHERE pg_my_temp_schema() = 0")
        db.session.execute(room, {"most": SCRATCH})
    for table in tables:
        db.session.execute(CreateTable(table, if_not_exists=True))
        db.session.execute(delete(table))


def for_many() -> None:
    """Prepare PostgreSQL for statements over very many rows, until the transaction ends: they sort and group
    in memory, and join no rows one by one. The planner takes what comes out of windows for a few rows, and
    now and then took minutes instead of seconds.
    """
    if not is_sqlite():
        db.session.execute(text("SET LOCAL work_mem = '64MB'"))
        db.session.execute(text("SET LOCAL enable_nestloop = off"))


def analyze(*tables: FromClause) -> None:
    """Tell PostgreSQL's planner what is in tables just filled: of temporary ones nobody else does, and of
    others not before the transaction ends.
    """
    for table in tables if not is_sqlite() else ():
        assert isinstance(table, Table)
        db.session.execute(text(f'ANALYZE "{table.name}"'))


def rows_changed(statement: Insert | Update | Delete) -> int:
    """Execute a statement; how many rows it inserted, updated or deleted."""
    options = {"preserve_rowcount": True, "synchronize_session": False}
    result = db.session.execute(statement, execution_options=options)
    assert isinstance(result, CursorResult)
    return result.rowcount


def is_sqlite() -> bool:
    """Whether the embedded engine is in use."""
    return bool(db.engine.dialect.name == "sqlite")
