"""What it costs to correct an old mark, beside a mark of the same kind at today's camp.

Everybody here came to each of 400 camps. Somebody who had signed up for today's is marked absent,
somebody else present; a third one is marked absent at a camp of a tenth into the history, and then
present again. All of it goes through the roll call's HTMX route, in turns, over one connection.

To mark somebody absent today ends their streak, and may itself be slow. So the note tells, too, how
many times a mark of today to present, the ordinary one, the correction takes.
"""

import statistics
import time
from dataclasses import dataclass, field

from benchmarks import data
from benchmarks.data import Shape
from benchmarks.doors import form_client, post, sign_in
from benchmarks.figures import Figure, at_most
from benchmarks.marks import application, prepared
from benchmarks.rounds import PostgresStore, product_day
from benchmarks.servers import Client, Postgres, product

CAMPS = 400
OLD = CAMPS // 10  # the number of the camp that is corrected, the first one being 0
WARM_UP = 10
MOST_TIMES = 5


@dataclass
class Times:
    """Milliseconds that marks of one state took: at today's camp, and as corrections."""

    forward: list[float] = field(default_factory=list)
    correction: list[float] = field(default_factory=list)


def measure(postgres: Postgres, quick: bool) -> list[Figure]:
    """Compare medians for both states."""
    turns = WARM_UP + (30 if quick else 100)
    name = "corrections"
    postgres.execute("postgres", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    prepared(postgres, name, Shape(3 * turns, CAMPS, visits=CAMPS - 1, always=True))
    store = PostgresStore(postgres, name)
    with application(postgres.url(name)) as app, app.app_context():
        today = str(data.camp_of_today().id)
        people = data.person_ids(app, 3 * turns)
    old = str(store.execute(f"SELECT id FROM camp ORDER BY camp_date OFFSET {OLD} LIMIT 1")[0][0])
    product_day(store, today).sign_up(people[0], people[-1])
    times = {"absent": Times(), "present": Times()}
    with product(postgres.url(name)) as server:
        client = form_client(server, sign_in(server))
        for turn in range(turns):
            absentee, comer, corrected = people[3 * turn : 3 * turn + 3]
            for state, person in (("absent", absentee), ("present", comer)):
                forward = _timed(client, person, today, state)
                correction = _timed(client, corrected, old, state)
                if turn >= WARM_UP:
                    times[state].forward.append(forward)
                    times[state].correction.append(correction)
    return [_figure(state, times) for state in times]


def _timed(client: Client, person: str, camp: str, state: str) -> float:
    began = time.perf_counter()
    post(client, person, camp, state)
    return (time.perf_counter() - began) * 1000


def _figure(state: str, times: dict[str, Times]) -> Figure:
    what = f"correcting an old mark to {state}, {CAMPS} camps of history: beside a mark of today"
    value = statistics.median(times[state].correction)
    base = statistics.median(times[state].forward)
    present = value / statistics.median(times["present"].forward)
    note = f"{present:.1f} times a mark of today to present; medians of {len(times[state].forward)}"
    return at_most(what, value, base, MOST_TIMES, note=note)
