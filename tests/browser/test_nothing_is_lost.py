"""Two phones at one camp without a network, a server that dies, answers that get lost: nothing else does."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import BrowserContext, Page, Playwright, expect
from sqlalchemy import func, select

from tests import factories
from tests.browser.conftest import ARGUMENTS, sign_in
from tests.browser.network import Network, network
from tests.conftest import People
from tests.serving import ROOT, ask, free_port
from webapp import clock
from webapp.database import db, writing
from webapp.domain.attendance import marking, roll_call
from webapp.domain.attendance.sync import Operation
from webapp.domain.badges import awards, history
from webapp.domain.camps.calendar import Camp
from webapp.domain.models.attendance import Attendance
from webapp.domain.people.accounts import Person

PATIENCE = 60  # seconds until a wait gives up
PAST = sum(number % 4 for number in range(60))  # attendances of earlier camps
CHOICES = ("present", "present", "present", "expected", "expected", "excused", "absent", "present:doctor")


@dataclass
class Server:
    """A gunicorn that can be killed and started again on the same port."""

    port: int
    instance: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = os.environ | {
            "INSTANCE_PATH": str(self.instance),
            "TMPDIR": str(self.instance),
            "SECRET_KEY": "only-for-tests-only",
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "WEB_CONCURRENCY": "2",
            "THREADS": "16",
        }
        command = [sys.executable, "-m", "gunicorn", "-c", "webapp/server.py", "--log-level", "critical"]
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)
        until = time.monotonic() + PATIENCE
        while True:
            try:
                assert ask("127.0.0.1", self.port, "GET", "/sign-in")[0] == 200
                return
            except ConnectionError:
                assert time.monotonic() < until

    def kill(self) -> None:
        """Master and workers, at once and without a word."""
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(PATIENCE)


@pytest.fixture(autouse=True)
def _real_time(app: Flask) -> Iterator[None]:
    """The server is a process of its own, with the real clock."""
    with clock.running_from(datetime.now(UTC)):
        yield


@pytest.fixture
def server(app: Flask, tmp_path: Path) -> Iterator[Server]:
    made = Server(free_port(), tmp_path)
    made.start()
    yield made
    made.kill()


@pytest.fixture
def camp(app: Flask, people: People) -> Camp:
    """A camp of today, with 60 people who have a little history each."""
    with app.app_context():
        before = [factories.camp(weeks) for weeks in (3, 2, 1)]
        camp = factories.camp()
        with writing():
            for number in range(60):
                person = factories.unsaved(f"Person {number:02}")
                marking.sign_up(person, camp)
                for past in before[: number % 4]:
                    marking.mark_present(person, past, by=people.coordinator)
    return camp


@dataclass
class Device:
    """A coordinator's phone, and what its owner decided."""

    playwright: Playwright
    chromium: str
    network: Network
    folder: Path
    owner: Person
    camp: Camp
    decided: dict[str, str] = field(default_factory=dict)
    context: BrowserContext = field(init=False)
    page: Page = field(init=False)

    def open(self) -> None:
        self.context = self.playwright.chromium.launch_persistent_context(
            self.folder,
            executable_path=self.chromium,
            args=list(ARGUMENTS),
            viewport={"width": 360, "height": 740},
            base_url=self.network.url,
        )
        self.page = self.context.pages[0]
        self.page.set_default_timeout(15_000)
        self.page.goto(f"/roll-call/{self.camp.id}")
        if "sign-in" in self.page.url:
            sign_in(self.page, self.owner)
        expect(self.page.locator("#roll-call[data-ready]")).to_be_attached()

    def close(self) -> None:
        self.context.close()

    def row(self, name: str) -> str:
        return f"#rows li.person:has(.name:text-is('{name}'))"

    def decide(self, name: str, wanted: str) -> None:
        """With a tap on the row, or in its sheet for what is rarer. (Without the care of a real pointer: there
        are 200 of them, and other tests press as a finger does.)
        """
        row = self.page.locator(self.row(name))
        before = row.get_attribute("data-state")
        if wanted == "present" and before == "expected":
            row.locator(".primary").dispatch_event("click")
        elif wanted == "expected" and before != "expected":
            row.locator(".undo").dispatch_event("click")
        elif wanted != "expected":
            row.locator(".more").dispatch_event("click")
            value = "present:volunteer" if wanted == "present" else wanted
            self.page.locator(f"#sheet button[value='{value}']").dispatch_event("click")
        role = wanted.partition(":")[2]
        state, _, role = wanted.partition(":")
        held = f"[data-state='{state}']" + (f"[data-role='{role}']" if role else "")
        self.page.wait_for_selector(self.row(name).replace(".person", f".person{held}"), state="attached")
        self.decided[name] = state

    def settled(self) -> None:
        """Everything has reached the server, but what has to be answered."""
        expect(self.page.locator(".sync.waiting")).to_have_count(0, timeout=PATIENCE * 1000)
        expect(self.page.locator("#link")).not_to_contain_text("waiting", timeout=PATIENCE * 1000)

    def answer_mine(self) -> dict[str, str]:
        """Where the other door decided differently, insist; who that was about, and what holds now."""
        answered = {}
        while self.page.locator("[data-answer=mine]").count():
            row = self.page.locator("li.person:has([data-answer=mine])").first
            name = row.locator(".name").text_content() or ""
            row.locator("[data-answer=mine]").click()
            expect(self.page.locator(self.row(name)).locator("[data-answer]")).to_have_count(0)
            answered[name] = self.decided[name]
        self.settled()
        return answered

    def states(self) -> dict[str, str]:
        """What the screen shows."""
        found: dict[str, str] = self.page.eval_on_selector_all(
            "#rows li.person",
            "all => Object.fromEntries(all.map(li => [li.querySelector('.name').textContent, li.dataset.state]))",
        )
        return found


@contextmanager
def device(stack: ExitStack, playwright: Playwright, chromium: str, *args: object) -> Iterator[Device]:
    made = Device(playwright, chromium, *args)  # type: ignore[arg-type]
    made.open()
    expect(made.page.locator("#roll-call[data-kept]")).to_be_attached()
    yield made
    made.close()


def test_two_phones_without_a_network_and_a_server_that_dies(
    app: Flask, server: Server, camp: Camp, people: People, playwright: Playwright, chromium: str, tmp_path: Path
) -> None:
    with app.app_context():
        ravi, meera = factories.with_password(people.coordinator), factories.with_password(people.admin)
    chance = random.Random(7)
    names = [f"Person {number:02}" for number in range(60)]
    with ExitStack() as stack:
        nets = [stack.enter_context(network(server.port)) for _ in range(2)]
        phones = [
            stack.enter_context(device(stack, playwright, chromium, net, tmp_path / who.name, who, camp))
            for net, who in zip(nets, (ravi, meera), strict=True)
        ]
        doors = (names[:33], names[27:])  # six people come to both doors
        for net in nets:
            net.go_down()
        for _half in range(2):
            for phone, door in zip(phones, doors, strict=True):
                for _ in range(50):
                    phone.decide(chance.choice(door), chance.choice(CHOICES))
                phone.close()
                phone.open()  # offline: from what the phone has kept
                shown = phone.states()
                assert {name: shown[name] for name in phone.decided} == phone.decided

        phones[0].decide("Person 30", "absent")  # one of whom they disagree for certain
        phones[1].decide("Person 30", "excused")
        for net in nets:
            net.loses_answer = lambda net=net: net.batches % 2 == 1  # type: ignore[misc]
            net.come_back()
        phones[0].page.evaluate("dispatchEvent(new Event('online'))")
        until = time.monotonic() + PATIENCE
        while nets[0].batches == 0:  # the first batch is in the server, and its answer lost
            phones[0].page.evaluate("1")
            assert time.monotonic() < until
        server.kill()
        server.start()
        for phone in phones:
            phone.settled()
        answered = {name: state for phone in phones for name, state in phone.answer_mine().items()}
        assert "Person 30" in answered

        with app.app_context():
            camp = db.session.get_one(Camp, camp.id)
            rows = {row.person.name: str(row.state) for row in roll_call.roll(camp)}
            for name in names:
                theirs = {
                    phone.decided.get(name, "expected")
                    for phone, door in zip(phones, doors, strict=True)
                    if name in door
                }
                assert rows[name] in ({answered[name]} if name in answered else theirs), name
            done = db.session.scalars(select(Operation.id)).all()
            assert len(done) == len(set(done)) > 0
            assert db.session.scalar(select(func.count()).select_from(Attendance)) == len(rows) + PAST
            for person in db.session.scalars(select(Person)):
                own = history.of_person(person.id)
                due = awards.due(own, awards.offers(awards.definitions()), {}).keys()
                assert {award.badge_id for award in awards.of_person(person.id)} == due, person.name
        for phone in phones:  # and both screens agree with it
            for name, state in rows.items():
                expect(phone.page.locator(phone.row(name))).to_have_attribute("data-state", state)
