"""The ways by which a mark comes in: the API, the roll call's form, and a phone's outbox."""

import json
import queue
import re
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from http.cookies import SimpleCookie
from urllib.parse import urlencode
from uuid import uuid4

from benchmarks.rounds import CONNECTIONS, Kind, Load
from benchmarks.servers import Client, Server, wrk

PASSWORD = "correct horse battery"  # of the person with book number 1
BATCH = 25  # operations that a phone sends at once


@dataclass(frozen=True)
class Session:
    """Somebody signed in in a browser: the cookie, its CSRF token, and whose it is."""

    cookie: str
    csrf: str
    person: str

    @property
    def headers(self) -> dict[str, str]:
        """What each request says."""
        return {"Cookie": self.cookie, "X-CSRFToken": self.csrf}


def sign_in(server: Server) -> Session:
    """Sign the person with book number 1 in."""
    cookie: SimpleCookie = SimpleCookie()

    def sent() -> str:
        return "; ".join(f"{name}={each.value}" for name, each in cookie.items())

    def ask(method: str, path: str, body: object = None, **headers: str) -> bytes:
        _, text, answered = server.ask(method, path, body, **{"Cookie": sent(), **headers})
        for value in answered.get_all("Set-Cookie") or ():
            cookie.load(value)
        return text

    token = re.search(rb'name="csrf_token"[^>]*value="([^"]+)"', ask("GET", "/sign-in"))
    assert token
    form = {"csrf_token": token[1].decode(), "book_no": "1", "password": PASSWORD}
    urlencoded = {"Content-Type": "application/x-www-form-urlencoded"}
    ask("POST", "/sign-in", urlencode(form), **urlencoded)
    session = json.loads(ask("GET", "/roll-call/session"))
    return Session(sent(), session["csrf_token"], session["person"])


def api_client(server: Server, token: str) -> Client:
    """Return a connection for :func:`put`."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return Client(server, headers)


def put(client: Client, person: str, camp: str | None = None) -> None:
    """Mark a person present through the API: at this camp, or at the only one of today."""
    body: dict[str, object] = {"logout": False, "camp_role": "volunteer"}
    if camp:
        body["camp_id"] = camp
    path = f"/api/v1/medical-camps/camp/{person}/attendance"
    client.ask("PUT", path, json.dumps(body))


def form_client(server: Server, session: Session) -> Client:
    """Return a connection for :func:`post`."""
    urlencoded = {"Content-Type": "application/x-www-form-urlencoded"}
    return Client(server, session.headers | {"HX-Request": "true"} | urlencoded)


def post(client: Client, person: str, camp: str, state: str) -> None:
    """Set a person's state at a camp through the roll call's HTMX route."""
    client.ask("POST", f"/roll-call/{camp}/people/{person}", f"state={state}")


class Wrk:
    """Requests of one mark each, as many as go through in some seconds."""

    def __init__(self, server: Server, environment: Mapping[str, str], seconds: int) -> None:
        self.server, self.environment, self.seconds = server, environment, seconds
        self.size = 1_000 * seconds

    def mark(self, first: int, kind: Kind) -> Load:  # noqa: ARG002
        """Run wrk once."""
        told = {**self.environment, "OFFSET": str(first)}
        result = wrk(self.server, "mark.lua", self.seconds, CONNECTIONS, told)
        marks = int(result["requests"])
        self.size = marks * 3 // 2 + 100
        return Load(marks, marks / result["per_second"])


class Batches:
    """Batches of a phone's outbox, for about some seconds.

    How many there are is fixed before a round begins, because a batch takes so long that those which
    are under way when a round ends would be a good part of it.
    """

    def __init__(
        self,
        server: Server,
        session: Session,
        camp: str,
        ids: list[str],
        seconds: int,
    ) -> None:
        self.server, self.session, self.camp, self.ids = server, session, camp, ids
        self.seconds = seconds
        self.size = CONNECTIONS * BATCH

    def mark(self, first: int, kind: Kind) -> Load:
        """Send all batches over some connections, each its next one when it has the answer."""
        people = self.ids[first : first + self.size]
        bodies: queue.SimpleQueue[str] = queue.SimpleQueue()
        for start in range(0, len(people), BATCH):
            bodies.put(self._body(people[start : start + BATCH], kind))
        began = time.perf_counter()
        with ThreadPoolExecutor(CONNECTIONS) as threads:
            for sender in [threads.submit(self._send, bodies) for _ in range(CONNECTIONS)]:
                sender.result()
        took = time.perf_counter() - began
        batches = max(CONNECTIONS, round(len(people) / took * self.seconds / BATCH))
        self.size = batches * BATCH
        return Load(len(people), took)

    def _body(self, people: list[str], kind: Kind) -> str:
        now = datetime.now(UTC).isoformat()
        base = "expected" if kind is Kind.SIGNED_UP else None
        mark: dict[str, str | None] = {"action": "mark", "camp": self.camp, "made_at": now}
        mark |= {"state": "present", "base": base, "base_role": None}
        operations = [{**mark, "id": str(uuid4()), "person": person} for person in people]
        batch = {"owner": self.session.person, "sent_at": now, "operations": operations}
        return json.dumps(batch)

    def _send(self, bodies: "queue.SimpleQueue[str]") -> None:
        json_headers = {"Content-Type": "application/json", "Accept": "application/json"}
        client = Client(self.server, self.session.headers | json_headers)
        while True:
            try:
                body = bodies.get_nowait()
            except queue.Empty:
                return
            for result in json.loads(client.ask("POST", "/roll-call/sync", body))["results"]:
                if result["outcome"] != "done":
                    raise RuntimeError(f"an operation was not carried out: {result}")
