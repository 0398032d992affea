"""Bytes of the write-ahead log that a mark takes in the steady state, beside the floor's.

After a checkpoint the first change of a page puts the whole page into the log. To see what is left
once that is over, a CHECKPOINT is followed by marks that warm up, and they touch the same pages as
those that are counted: people are taken in the order of their keys, four of five to warm up, and the
fifth, their neighbour, to be counted. Indexes in another order are small enough that the many who
warm up go all over them. What whole pages there still are is told in the note, as pg_waldump tells
them apart. Marks come one after the other over one connection.
"""

import tempfile
from pathlib import Path

from benchmarks.doors import api_client, put
from benchmarks.figures import Figure, at_most, limit
from benchmarks.marks import FULL, QUICK, Organisation, organisation_of, working_copy
from benchmarks.rounds import Day, Kind, PostgresStore, floor_day, product_day
from benchmarks.servers import Client, Postgres, Written, floor, product

MOST_KB, MOST_TIMES = 3, 3
CAMPS = 1_000
ONE_OF = 5  # of so many people one is counted; the others warm up


def measure(postgres: Postgres, quick: bool) -> list[Figure]:
    """Mark through the API for both kinds of mark; the worse one is the figure."""
    name = organisation_of(postgres, CAMPS, QUICK if quick else FULL)
    marks = 150 if quick else 500
    ours: dict[Kind, Written] = {}
    base: dict[Kind, Written] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        working_copy(postgres, name) as working,
        product(postgres.url(working)) as server,
        floor(postgres.address(working)) as floor_server,
    ):
        organisation = Organisation(postgres.url(working), Path(folder), 2 * ONE_OF * marks)
        store = PostgresStore(postgres, working)
        day, floor_rows = product_day(store, organisation.camp), floor_day(store)
        client = api_client(server, organisation.token)
        floor_client = api_client(floor_server, organisation.token)
        for number, kind in enumerate(Kind):
            people = organisation.ids[ONE_OF * marks * number :][: ONE_OF * marks]
            ours[kind] = _written(postgres, day, client, people, kind)
            base[kind] = _written(postgres, floor_rows, floor_client, people, kind)
    return _figures(ours, base, marks)


def _written(
    postgres: Postgres,
    day: Day,
    client: Client,
    people: list[str],
    kind: Kind,
) -> Written:
    day.clear()
    if kind is Kind.SIGNED_UP:
        day.sign_up(people[0], people[-1])
    postgres.execute("postgres", "CHECKPOINT")
    counted = people[ONE_OF - 1 :: ONE_OF]
    for person in sorted(set(people) - set(counted)):
        put(client, person)
    start = postgres.position()
    for person in counted:
        put(client, person)
    return postgres.written(start, postgres.position())


def _figures(ours: dict[Kind, Written], base: dict[Kind, Written], marks: int) -> list[Figure]:
    def kb(written: Written) -> float:
        return written.total / marks / 1000

    def told(written: Written) -> str:
        return f"{kb(written):.2f} KB, {written.pages / marks / 1000:.2f} of it whole pages"

    both = [f"{kind}: {told(ours[kind])}; floor {told(base[kind])}" for kind in Kind]
    note = "; ".join(both)
    most = max(Kind, key=lambda kind: kb(ours[kind]))
    worse = max(Kind, key=lambda kind: ours[kind].total / base[kind].total)
    what = f"write-ahead log of a mark, {CAMPS:,} camps"
    beside = f"{what}: beside the floor's"
    return [
        limit(what, kb(ours[most]), MOST_KB, "KB", note),
        at_most(beside, kb(ours[worse]), kb(base[worse]), MOST_TIMES, "KB", note),
    ]
