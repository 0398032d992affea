"""The demo: an organisation with a year of weekly camps, the same for everybody who starts it on a day."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from sqlalchemy import delete, func, select

from webapp.database import db
from webapp.domain.attendance import marking, roll_call
from webapp.domain.attendance.roll_call import Closing
from webapp.domain.attendance.sync import Operation
from webapp.domain.audit import Entry as AuditEntry
from webapp.domain.audit import EntryAward
from webapp.domain.camps import calendar
from webapp.domain.camps.calendar import Camp, Site
from webapp.domain.errors import ConflictError
from webapp.domain.import_export import imports
from webapp.domain.import_export.history_file import Entry
from webapp.domain.import_export.uploads import UploadProblem, UploadRow
from webapp.domain.jobs import Job, Upload
from webapp.domain.models.attendance import Attendance, CampRole, State
from webapp.domain.models.badge import Award, Revocation
from webapp.domain.models.board import Board, BoardLine, BoardRequest
from webapp.domain.models.totals import Totals
from webapp.domain.organisation import settings
from webapp.domain.people import accounts, credentials
from webapp.domain.people.accounts import Person, Role
from webapp.domain.people.credentials import PasswordLink
from webapp.domain.schedule import schedule

NAME = "Arogya Health Camps"
WEEKS = 52
ACCOUNTS = {
    # book number: name, role, password; these exist in the demo only
    1: ("Dr. Meera Krishnan", Role.ADMIN, "admin123"),
    2: ("Asha Rao", Role.VOLUNTEER, "volunteer123"),
    3: ("Ravi Shankar Gowda", Role.COORDINATOR, "coordinator123"),
}
VILLAGES = (
    "Devanahalli Government School",
    "Hoskote Community Hall",
    "Nandi Village Square",
    "Doddaballapura Town Hall",
    "Chikkaballapur Temple Ground",
    "Vijayapura Panchayat Office",
    "Sidlaghatta Silk Market",
)
# (how likely they come, how many weeks ago they joined, names). Very different histories on purpose.
GROUPS: tuple[tuple[float, int, tuple[str, ...]], ...] = (
    (0.97, 52, ("Lakshmi Venkatesh", "Imran Pasha", "Saraswathi Amma")),
    (0.85, 52, ("Kavitha Reddy", "Joseph D'Souza", "Nagaraj Hegde", "Fathima Begum", "Suresh Babu")),
    (0.70, 48, ("Anitha Joseph", "Mohammed Rafi", "Padma Iyer", "Harish Chandra", "Deepa Nair")),
    (0.55, 44, ("Śrīnivāsa Rao", "Geetha Kumari", "Manjunath Swamy", "Shabana Azmi Khan", "Vinod Shetty")),
    (0.45, 30, ("Priya Menon", "Arjun Patil", "Zoë Fernandes", "Ramesh Naidu", "Sunita Devi", "Balaji Ranganathan")),
    (0.35, 40, ("Divya Bhat", "Karthik Subramanian", "Rekha Joshi", "Naveen Kumar", "Mary Thomas", "Yusuf Ali")),
    (0.25, 36, ("Pooja Kulkarni", "Siddharth Rao", "Usha Rani", "Ganesh Pillai", "Nisha Agarwal", "Tenzin Dolma")),
    (0.15, 26, ("Rohit Deshpande", "Chaitra Murthy", "Abdul Kareem", "Sneha Gupta", "Varun Acharya", "Jyothi Lal")),
    (0.60, 9, ("Ananya Das", "Farhan Sheikh", "Keerthi Gowda", "Prakash Jha")),
    (0.50, 4, ("Ishaan Malhotra", "Meenakshi Sundaram", "Harpreet Kaur", "Vikram Singh Rathore")),
    (
        0.0,
        0,
        (
            "Aditi Chatterjee",
            "Nikhil Varma",
            "Tara Bhagat",
            "Omkar Salunkhe",
            "Venkata Satyanarayana Lakshmi Narasimha Ramachandra Murthy",
        ),
    ),
)
DOCTORS = ("Dr. Sudha Murali", "Dr. Anand Kamath", "Dr. Shalini George")
LIKELY_TODAY = 0.72
COMING = 3  # camps that are announced


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody of the demo."""

    book_no: int
    name: str
    keenness: float
    weeks: int
    camp_role: CampRole = CampRole.VOLUNTEER


def seed(*, clear: bool = False, erase_real_data: bool = False) -> str:
    """Fill the demo inside the caller's write transaction, and say what was done.

    An empty database is filled. In a demo of another day, today's camp is added. Real data is left
    alone. ``clear`` empties first; where there is real data only with ``erase_real_data``, otherwise
    :class:`ConflictError` is raised.
    """
    if holds_real_data():
        if not clear:
            return "This database holds real data; the demo left it alone."
        if not erase_real_data:
            raise ConflictError(
                "This database holds real data, and --clear would erase it. If you really mean it, "
                "add --erase-real-data. Nothing was changed."
            )
    if clear:
        _clear()
    today = calendar.default_site().today
    if not settings.get("demo"):
        _fill(today)
        done = "The demo is filled in."
    elif any(roll_call.people_on(camp) for camp in calendar.camps_of_today()):
        done = "The demo is there already."
    else:
        _open_camp(today)
        done = "The demo has a camp today."
    return f"{done}\n{_accounts()}"


def holds_real_data() -> bool:
    """Whether there is a person or a camp that the demo did not make."""
    names = {member.book_no: member.name for member in members()}
    is_demo = bool(settings.get("demo"))
    for book_no, name in db.session.execute(select(Person.book_no, Person.name)):
        if not is_demo or names.get(book_no) != name:
            return True
    strange = select(func.count()).select_from(Camp)
    if is_demo:
        strange = strange.where(Camp.name.not_in(VILLAGES))
    return bool(db.session.scalar(strange))


def members() -> Iterator[Member]:
    """Everybody of the demo by book number."""
    for book_no, (name, _, _) in ACCOUNTS.items():
        yield Member(book_no, name, 0.0, 0)
    book_no = max(ACCOUNTS)
    for keenness, weeks, names in GROUPS:
        for name in names:
            book_no += 1
            yield Member(book_no, name, keenness, weeks)
    for name in DOCTORS:
        book_no += 1
        yield Member(book_no, name, 0.6, WEEKS, CampRole.DOCTOR)


def _accounts() -> str:
    lines = [
        f"  book number {book_no} / {password}  ({role}: {name})"
        for book_no, (name, role, password) in ACCOUNTS.items()
    ]
    return "\n".join(["Sign in with:", *lines])


def _clear() -> None:
    kept = (
        *(BoardRequest, BoardLine, Board, Totals, Revocation, Award, Operation, Closing, Attendance, Camp),
        *(UploadProblem, UploadRow, Upload, Job, EntryAward, AuditEntry, PasswordLink),
        *(Person, settings.Setting),
    )
    for table in kept:
        db.session.execute(delete(table))
    db.session.execute(delete(Site).where(Site.name != calendar.DEFAULT_SITE))
    db.session.expire_all()


def _fill(today: date) -> None:
    for member in members():
        _, role, password = ACCOUNTS.get(member.book_no, ("", Role.VOLUNTEER, ""))
        person = accounts.add_person(member.name, book_no=member.book_no, role=role)
        if password:
            credentials.set_password(person, credentials.hash_password(password))
    settings.put("name", NAME)
    settings.put("demo", today.isoformat())
    imports.store(_history(today))
    _open_camp(today)


def _history(today: date) -> Iterator[Entry]:
    """A year of Sundays' worth of attendance, up to a week ago."""
    chance = Random(20)
    line = 1
    for weeks_ago in range(WEEKS, 0, -1):
        camp_date = today - timedelta(weeks=weeks_ago)
        for member in members():
            state, camp_role = _lived(member, weeks_ago, chance)
            if state:
                line += 1
                yield Entry(
                    line,
                    member.book_no,
                    member.name,
                    site="",
                    camp=VILLAGES[weeks_ago % len(VILLAGES)],
                    camp_date=camp_date,
                    camp_role=camp_role,
                    state=state,
                )


# Asha came to nine camps, the last two in a row: the next mark gives her two badges at once.
ASHA_CAME = (30, 29, 24, 22, 17, 12, 8, 2, 1)
ASHA_EXCUSED = (11, 7)


def _lived(member: Member, weeks_ago: int, chance: Random) -> tuple[State | None, CampRole]:
    if member.name == ACCOUNTS[2][0]:
        came = weeks_ago in ASHA_CAME
        state = State.PRESENT if came else State.EXCUSED if weeks_ago in ASHA_EXCUSED else None
        return state, CampRole.VOLUNTEER
    if member.name == ACCOUNTS[3][0]:
        return (State.PRESENT if weeks_ago % 4 else None), CampRole.COORDINATOR
    luck, detail = chance.random(), chance.random()
    if weeks_ago > member.weeks:
        return None, member.camp_role
    if luck < member.keenness:
        helps_elsewhere = member.camp_role is CampRole.VOLUNTEER and detail < 0.03
        return State.PRESENT, CampRole.COORDINATOR if helps_elsewhere else member.camp_role
    if luck < member.keenness + 0.08:
        return (State.EXCUSED if detail < 0.6 else State.ABSENT), member.camp_role
    return None, member.camp_role


def _open_camp(today: date) -> None:
    """A camp today, with the sign-ups of most people and nobody marked yet, and the next ones announced."""
    for weeks in range(1, COMING + 1):
        on = today + timedelta(weeks=weeks)
        if not db.session.scalar(select(Camp.id).where(Camp.camp_date == on)):
            schedule.add_camp(calendar.default_site(), VILLAGES[-weeks % len(VILLAGES)], on)
    chance = Random(today.toordinal())
    announced = list(calendar.camps_of_today())
    camp = announced[0] if announced else schedule.add_camp(calendar.default_site(), VILLAGES[0], today)
    roles = {member.book_no: member.camp_role for member in members()}
    for person in db.session.scalars(select(Person).order_by(Person.book_no)):
        likely = chance.random() < LIKELY_TODAY
        if person.is_active and (person.book_no == 2 or (likely and person.book_no > max(ACCOUNTS))):
            marking.sign_up(person, camp, roles.get(person.book_no, CampRole.VOLUNTEER))
