"""Anonymising: somebody asked to be forgotten. Their name goes from every table; what they did is counted still.

The audit trail names nobody, and the figures of camps and boards hang on ids, so that none of these is touched.
Names of camps, sites, badges and of the organisation are not the person's, even where they are alike.
"""

import json
import re
import sqlite3
import unicodedata
from collections.abc import Callable, Collection
from contextlib import closing
from datetime import timedelta
from typing import Any

from sqlalchemy import String, and_, cast, delete, false, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, joinedload
from sqlalchemy.sql.elements import ColumnElement

from webapp import clock
from webapp.database import SQLITE_PATIENCE, db, is_sqlite
from webapp.domain import audit
from webapp.domain.attendance.sync import Operation
from webapp.domain.audit import Action
from webapp.domain.errors import ConflictError
from webapp.domain.import_export.uploads import UploadProblem, UploadRow
from webapp.domain.jobs import LONGEST_PROBLEM, OPEN, Job, Kind, Status, Upload
from webapp.domain.models.attendance import LONGEST_REASON, Attendance
from webapp.domain.models.badge import Revocation
from webapp.domain.people import accounts
from webapp.domain.people.accounts import FormerName, Person, Role
from webapp.domain.people.credentials import PasswordLink

FORMER = "Former volunteer"
SHORTEST_PART = 2  # letters; one is an initial, and anybody's
READS_FILES = (Kind.IMPORT_CHECK, Kind.IMPORT, Kind.PEOPLE_IMPORT)
OVER = (Status.DONE, Status.FAILED, Status.CANCELLED)
ARRIVES_WITHIN = timedelta(hours=1)

Clean = Callable[[str], str]
"""A text without the names of who is anonymised."""


def anonymise(person: Person) -> None:
    """Forget who somebody was: for good, and everywhere in the database. Their account is switched off.

    Raises :class:`ConflictError` where that was done already, for the last active admin, and while a file is
    imported, which may name them.
    """
    accounts.deactivate(person)  # which the last admin's account cannot be
    person = accounts.hold(person.id) or person
    accounts.must_be_known(person)
    _wait_for_files()
    names = _names_of(person)
    clean = cleaner(names)
    _forget(person)
    _clean_orders(person, names, clean)
    _clean_attendance(person, names, clean)
    _clean_column(Revocation.reason, _rarest(names), clean, 200)
    _clean_uploads(person, names)
    _clean_jobs(clean)
    audit.note(Action.ANONYMISED, person_id=person.id)


def overwrite() -> bool:
    """Once somebody is anonymised and that is committed: leave nothing of it in the files of SQLite, where what
    was changed or deleted stands until something else needs the place. PostgreSQL sees to it by itself.

    Whether it could be done: where somebody reads or writes for long it is given up, before others who write
    lose patience.
    """
    if not is_sqlite():
        return True
    patience = SQLITE_PATIENCE / 2
    with closing(sqlite3.connect(str(db.engine.url.database), timeout=patience, isolation_level=None)) as connection:
        try:
            connection.execute("VACUUM")
            (is_read, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.OperationalError:
            return False
    return not is_read


def partly_named(person: Person) -> list[Attendance]:
    """Excuses of others that hold a part of somebody's name and not all of it ("Asha is ill"), the latest camp
    first. Anonymising leaves them, for the part may be somebody else's.
    """
    names = _names_of(person)
    parts, clean = _parts(names), cleaner(names)
    found = (
        select(Attendance)
        .where(Attendance.person_id != person.id, _mentions(Attendance.reason, parts))
        .order_by(Attendance.camp_date.desc(), Attendance.camp_id, Attendance.person_id)
        .options(joinedload(Attendance.person), joinedload(Attendance.camp))
    )
    return [each for each in db.session.scalars(found) if each.reason and parts & {*_words(clean(each.reason))}]


def _wait_for_files() -> None:
    """Raises :class:`ConflictError` while a file arrives or is read. One that has not arrived after so long
    never will.
    """
    arriving = and_(Job.status.not_in(OVER), Job.created_at > clock.now() - ARRIVES_WITHIN)
    reading = select(Job.id).where(Job.kind.in_(READS_FILES), or_(Job.status.in_(OPEN), arriving))
    if db.session.scalar(reading.limit(1)):
        raise ConflictError(
            "A file is being imported at the moment, and may name this person. Wait until it is through, then try "
            "again. Nothing was changed."
        )


def _names_of(person: Person) -> set[str]:
    """Every name that is known to be theirs, those from before they were renamed too."""
    orders = select(Operation.order).where(_mentions(Operation.order, {str(person.id)}))
    added = {str(order["name"]) for order in db.session.scalars(orders) if "name" in order}
    rows = select(UploadRow.name).where(UploadRow.book_no == person.book_no).distinct()
    names = {person.name, *accounts.former_names(person), *added, *db.session.scalars(rows)}
    return {" ".join(name.split()) for name in names if name.strip()}


def cleaner(names: Collection[str]) -> Clean:
    """Puts :data:`FORMER` in place of the names, however their words are set apart (``asha_rao.csv``) and
    written. A name of one word may be a word of the language too, so it counts only as it is written.
    """
    alternatives = []
    for name in sorted(names, key=len, reverse=True):
        words = r"[\W_]+".join(re.escape(word) for word in name.split())
        alternatives.append(f"(?i:{words})" if " " in name else f"(?:{words})")
    pattern = re.compile(rf"(?<![^\W_])(?:{'|'.join(alternatives)})(?![^\W_])")
    return lambda text: pattern.sub(FORMER, text)


def _forget(person: Person) -> None:
    """The person's own rows, and what opens the account."""
    db.session.execute(delete(FormerName).where(FormerName.person_id == person.id))
    db.session.execute(delete(PasswordLink).where(PasswordLink.person_id == person.id))
    person.password_hash = None
    person.card_no += 1  # they are held
    person.role = Role.VOLUNTEER
    person.anonymised_at = clock.now()
    accounts.call(person, FORMER)
    accounts.end_sessions(person)


def _clean_orders(person: Person, names: Collection[str], clean: Clean) -> None:
    """What phones sent: whom they added, and the reasons that were typed, which nobody reads there any more: one
    that holds but a part of the name goes as a whole.
    """
    parts = _parts(names)
    found = select(Operation).where(_mentions(Operation.order, {str(person.id), *_rarest(names), *parts}))
    for operation in db.session.scalars(found):
        own = operation.order.get("person") == str(person.id)
        operation.order = {key: _cleaned(key, value, clean, own, parts) for key, value in operation.order.items()}
    db.session.flush()


def _cleaned(key: str, value: Any, clean: Clean, own: bool, parts: set[str]) -> Any:
    if not isinstance(value, str):
        return value
    if key == "reason" and (own or not parts.isdisjoint(_words(value))):
        return None
    return FORMER if own and key == "name" else clean(value)


def _clean_attendance(person: Person, names: Collection[str], clean: Clean) -> None:
    """Reasons: their own are theirs, whatever they say."""
    own = update(Attendance).where(Attendance.person_id == person.id, Attendance.reason.is_not(None))
    db.session.execute(own.values(reason=None))
    _clean_column(Attendance.reason, _rarest(names), clean, LONGEST_REASON)


def _clean_column(
    column: InstrumentedAttribute[str] | InstrumentedAttribute[str | None],
    words: Collection[str],
    clean: Clean,
    longest: int,
) -> None:
    """A column of free text, in which anybody's row may name them. What does not hold one of the words is good."""
    found = select(column).where(_mentions(column, words)).distinct()
    for text in db.session.scalars(found).all():
        if text is not None and clean(text) != text:
            same = update(column.class_).where(column == text)
            db.session.execute(same.values({column.key: clean(text)[:longest]}))


def _clean_uploads(person: Person, names: Collection[str]) -> None:
    """Rows that wait to be imported keep their number, which is what counts. Raw files are not kept: what they
    were read for is done, or failed. Then it is not tried again, which would take what is left for the whole.
    """
    rows = update(UploadRow).where(UploadRow.book_no == person.book_no)
    db.session.execute(rows.values(name=FORMER))
    beginnings = {part[:SHORTEST_PART] for part in _parts(names)}
    _clean_column(UploadProblem.reason, _rarest(names) | beginnings, _cleaner_of_problems(names), 300)
    raw = select(Upload.job_id).distinct()
    db.session.execute(
        update(Job)
        .where(Job.id.in_(raw), Job.status.not_in((Status.DONE, Status.CANCELLED)))
        .values(status=Status.CANCELLED, problem="Its file is not kept any more. Choose it again.")
    )
    db.session.execute(delete(Upload))


def _cleaner_of_problems(names: Collection[str]) -> Clean:
    """What is wrong with a row quotes the beginning of a cell, which may end in the middle of a name. A cell in
    the wrong place is worth no guess whose name it was: what holds a part of theirs is not quoted any more.
    """
    parts, clean = _parts(names), cleaner(names)

    def quoted(cell: re.Match[str]) -> str:
        words = _words(cell[1]) or [""]
        cut = len(words[-1]) >= SHORTEST_PART and any(part.startswith(words[-1]) for part in parts)
        return f"“{FORMER}”" if cut or not parts.isdisjoint(words) else cell[0]

    return lambda text: re.sub("“([^”]*)”", quoted, clean(text))


def _clean_jobs(clean: Clean) -> None:
    """What jobs say of themselves: a file may be called by a name."""
    for job in db.session.scalars(select(Job)):
        job.params = json.dumps(_cleaned_json(job.asked, clean))
        job.outcome = json.dumps(_cleaned_json(job.found, clean))
        job.cursor = clean(job.cursor)
        job.problem = clean(job.problem)[:LONGEST_PROBLEM] if job.problem else None
    db.session.flush()


def _cleaned_json(value: Any, clean: Clean) -> Any:
    if isinstance(value, dict):
        return {key: _cleaned_json(each, clean) for key, each in value.items()}
    if isinstance(value, list):
        return [_cleaned_json(each, clean) for each in value]
    return clean(value) if isinstance(value, str) else value


def _words(text: str) -> list[str]:
    """The words of a text in small letters, vowel signs and all."""
    letters = (each if each.isalnum() or unicodedata.category(each)[0] == "M" else " " for each in text.lower())
    return "".join(letters).split()


def _parts(names: Collection[str]) -> set[str]:
    """The words of the names, but for initials."""
    return {word for name in names for word in _words(name) if len(word) >= SHORTEST_PART}


def _rarest(names: Collection[str]) -> set[str]:
    """The longest word of each name: what holds the name holds it, whatever stands between the words."""
    return {max(name.split(), key=len) for name in names}


def _mentions(column: InstrumentedAttribute[Any], words: Collection[str]) -> ColumnElement[bool]:
    """Whether a text, or JSON as it is stored, holds one of some words, in whatever case. SQLite knows the cases
    of Latin letters without accents alone, so that the usual ones are looked for.
    """
    text = cast(column, String)
    cases = {each for word in words for each in (word, word.lower(), word.upper(), word.title())}
    written = {each for word in cases for each in (word, json.dumps(word)[1:-1])}
    return or_(false(), *(text.icontains(each, autoescape=True) for each in sorted(written)))
