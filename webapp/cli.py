"""Commands of the ``flask`` tool."""

import csv
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from logging.config import dictConfig
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from uuid import UUID

import click
from flask import Flask
from flask.cli import with_appcontext
from sqlalchemy.exc import OperationalError, ProgrammingError

from webapp import logs, worker
from webapp.database import db, is_sqlite, snapshot, writing
from webapp.domain import demo
from webapp.domain.badges.awards import of_everybody
from webapp.domain.errors import DomainError, InvalidError
from webapp.domain.evaluation import bulk
from webapp.domain.evaluation import verify as verification
from webapp.domain.import_export import exports, history_file, imports
from webapp.domain.import_export.history_file import Problem
from webapp.domain.leaderboard import snapshots
from webapp.domain.people import accounts, credentials
from webapp.domain.people.accounts import Role
from webapp.environment import one_of

if TYPE_CHECKING:
    from tqdm import tqdm

MOST_PROBLEMS = 50  # printed one by one
STOP_WITHIN = 2  # seconds; a batch that is broken off is done again


def init_app(app: Flask) -> None:
    """Register the commands."""
    commands = (create_admin, set_password, seed, import_history, standings, awards, verify)
    for command in (*commands, evaluate, evaluate_by_former_name, keep_up, work):
        app.cli.add_command(command)


def _bar(word: str, unit: str) -> "tqdm[NoReturn]":
    """A bar of what was done of so many, where somebody looks on."""
    from tqdm import tqdm  # not above: servers load this module, too, and draw none

    return tqdm(desc=word, unit=f" {unit}", disable=None)


@contextmanager
def _plain_words() -> Iterator[None]:
    """What cannot be done is said in a line, not with a traceback."""
    try:
        yield
    except DomainError as error:
        raise click.ClickException(str(error)) from None
    except (OperationalError, ProgrammingError) as error:
        raise click.ClickException(
            f"The database cannot be used; has it its tables (flask db upgrade)? It says: {error.orig}"
        ) from None


@click.command("create-admin")
@click.option("--book-no", type=int, help="The book number; the next free one if not given.")
@click.option("--name", prompt="Name", help="Their name.")
@click.password_option(help="At least 8 characters; asked for if not given.")
@with_appcontext
def create_admin(book_no: int | None, name: str, password: str) -> None:
    """Add an admin, asking for name and password."""
    with _plain_words():
        password_hash = credentials.hash_password(password)
        with writing():
            person = accounts.add_person(name, book_no=book_no, role=Role.ADMIN)
            credentials.set_password(person, password_hash)
    click.echo(f"{person.name} can sign in with book number {person.book_no}.")


@click.command("set-password")
@click.argument("book_no", type=int)
@click.password_option(help="At least 8 characters; asked for if not given.")
@with_appcontext
def set_password(book_no: int, password: str) -> None:
    """Give somebody a new password, asking for it. Their open sessions end."""
    with _plain_words():
        person = accounts.by_book_no(book_no)
        if person is None:
            raise InvalidError(f"Nobody has book number {book_no}.")
        password_hash = credentials.hash_password(password)
        with writing():
            credentials.set_password(person, password_hash)
    click.echo(f"{person.name} has a new password; other sessions of theirs have ended.")


@click.command()
@click.option("--clear", is_flag=True, help="Empty the database first.")
@click.option("--erase-real-data", is_flag=True, help="With --clear: also when it holds more than the demo.")
@with_appcontext
def seed(clear: bool, erase_real_data: bool) -> None:
    """Fill an empty database with the demo; a demo of another day gets a camp today.

    A database with real data is left alone, unless told twice: --clear --erase-real-data.
    """
    with _plain_words(), writing():
        click.echo(demo.seed(clear=clear, erase_real_data=erase_real_data))


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--keep-good", is_flag=True, help="Store the good rows even if there are bad ones.")
@with_appcontext
def import_history(file: Path, keep_good: bool) -> None:
    """Read a history from a CSV file and evaluate the badges. Nothing is stored unless all rows are good."""
    with _plain_words():
        rows = history_file.read(file)
        try:
            with (
                _bar("read", "rows") as read,
                _bar("settled", "people") as settled,
                writing(),
            ):
                report = imports.store(rows, keep_good=keep_good, read=read.update, settled=settled.update)
        except imports.ImportRefused as refused:
            _print_problems(refused.problems, refused.number)
            raise InvalidError(
                f"{refused.number:,} bad row(s). Nothing was stored; --keep-good stores the good ones."
            ) from None
    _print_problems(report.problems, report.bad)
    click.echo(
        f"{report.stored:,} rows stored, {report.unchanged:,} known already, {report.bad:,} refused; "
        f"{report.new_people:,} new people, {report.new_camps:,} new camps, {report.new_badges:,} badges awarded, "
        f"{report.revoked_badges:,} revoked."
    )
    if report.renamed:
        click.echo(
            f"{report.renamed:,} rows name a book number differently from the name on file, which was kept.", err=True
        )


def _print_problems(problems: Sequence[Problem], number: int) -> None:
    for problem in problems[:MOST_PROBLEMS]:
        click.echo(str(problem), err=True)
    if number > MOST_PROBLEMS:
        click.echo(f"… and {number - MOST_PROBLEMS:,} more.", err=True)


@click.command()
@click.option("--repair", is_flag=True, help="Mend what differs.")
@with_appcontext
def verify(repair: bool) -> None:
    """Recompute totals and awards from attendance alone, and report what differs.

    Ends with 1 where anything did; with --repair it is mended, and looked at again.
    """
    with _plain_words():
        if repair:
            with writing(), _bar("mended", "people") as bar:
                verification.repair(progress=bar.update)
        snapshot()
        with _bar("verified", "people") as bar:
            number = 0
            found = verification.Verification()
            for difference in found.differences(progress=bar.update):
                number += 1
                if number <= MOST_PROBLEMS:
                    click.echo(str(difference))
        kept = found.kept_awards
        db.session.rollback()
    if kept:
        said = f"{kept:,} badge(s) stand that today's calendar would not give; the contract leaves them."
        click.echo(said, err=True)
    if number:
        raise click.ClickException(f"{number:,} difference(s); flask verify --repair mends them.")
    click.echo("Everything agrees with the attendance.")


@click.command()
@with_appcontext
def evaluate() -> None:
    """Award everybody what is due on today's calendar, and bring the totals in line; revokes nothing.

    A transaction each for some thousand people, so that marks go on meanwhile.
    """
    done = bulk.Evaluated()
    after: UUID | None = None
    with _plain_words(), _bar("evaluated", "people") as bar:
        while True:
            with writing():
                after = bulk.evaluate_next(after, done)
            if after is None:
                break
            bar.update(done.people - bar.n)
    awarded = done.new_badges + done.returned_badges
    click.echo(f"{done.people:,} people; {awarded:,} badges awarded.")


@click.command("settle", hidden=True)
@click.pass_context
def evaluate_by_former_name(context: click.Context) -> None:
    """Do what evaluate does, under its former name."""
    click.echo("`flask settle` is called `flask evaluate` now; this name goes with the next release.", err=True)
    context.invoke(evaluate)


@click.command("keep-up", hidden=True)
def keep_up() -> None:
    """Do nothing: leaderboards need no upkeep any more."""
    click.echo("Leaderboards need no upkeep any more; take `flask keep-up` out of cron.", err=True)


@click.command()
@click.option("--until-gone", type=int, help="Stop when the process with this id has ended.")
@click.option("--pid", type=click.Path(path_type=Path), help="Write this process's id into a file.")
@with_appcontext
def work(until_gone: int | None, pid: Path | None) -> None:
    """Do the jobs that were put into the queue (imports, backfills), until SIGINT or SIGTERM; on SIGHUP begin
    anew, with the code as it is then.
    """
    dictConfig(dict(logs.configuration(one_of(os.environ, "LOG_FORMAT", logs.FORMATS), "warning")))
    if pid:
        pid.parent.mkdir(parents=True, exist_ok=True)
        pid.write_text(str(os.getpid()))
    with _plain_words():
        consumer = worker.queue().create_consumer(
            workers=1 if is_sqlite() else 2, max_delay=1, shutdown_timeout=STOP_WITHIN
        )
    if until_gone:
        threading.Thread(target=_stop_after, args=(until_gone,), daemon=True).start()
    consumer.run()


def _stop_after(process: int) -> None:
    while _lives(process):
        time.sleep(1)
    os._exit(0)  # as hard as a kill, which a job outlives; a signal may come before anybody listens to it


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


@click.command()
@with_appcontext
def standings() -> None:
    """The leaderboard as CSV on standard output."""
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(exports.STANDINGS)
    with _plain_words():
        with writing():
            board = snapshots.current(snapshots.OVERALL)
        snapshot()
        for row in exports.standings(board):
            table.writerow(row)


@click.command()
@with_appcontext
def awards() -> None:
    """Every award that stands as CSV on standard output."""
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(("book_no", "badge", "camp_date", "earned_at"))
    with _plain_words():
        for book_no, badge, camp_date, earned_at in of_everybody():
            table.writerow((book_no, badge, camp_date.isoformat(), earned_at.isoformat(timespec="seconds")))
