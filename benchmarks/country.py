"""A Sunday morning in a country, simulated: ``python -m benchmarks.country`` (standard library, same every time).

20,000 camps open within two hours. Who comes is marked; each mark wakes the open roll calls of its camp and
the volunteer's cabinet. Web processes and database servers are queues: first come, first served, a process
does one thing at a time, a database server as many as it has cores. It shows how many of each are needed,
what the placement of rows on several servers costs, what the loss of one does, and how much there is to
keep. What is measured, and where, docs/scaling.md says; every assumption is a constant here or an option.
"""

import argparse
import heapq
import json
import math
import time
from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

# --- assumed: the morning ------------------------------------------------------------------------

PEOPLE = 50_000_000
ATTENDANCES = 3_000_000_000
CAMPS = 20_000
STARTS = ((8 * 60, 0.15), (8 * 60 + 30, 0.10), (9 * 60, 0.55), (9 * 60 + 30, 0.10), (10 * 60, 0.10))  # minutes, share
LATE = 5  # minutes by which a camp starts before or after its time, at most
MEDIAN_SIZE, SPREAD, MOST = 220, 0.8, 3_000  # volunteers of a camp: log-normal; the mean is about 300
RUSH, RUSH_SHARE, REST = 45 * 60, 0.75, 165 * 60  # seconds; three of four in the first 45 minutes, the others after
PEOPLE_A_PHONE = 150  # a camp has one open roll call, and one more for every so many volunteers
CABINETS_OPEN = 0.05  # of the volunteers who are marked: they look at their page just then
PAGES = 0.2  # whole cabinets opened for each mark
PAGE_OPEN = 180  # seconds that a cabinet stays open
LIVE_A_PROCESS = 576  # live pages that a process of ``make serve`` holds (640 threads but 64)
POOL = 16  # connections that a process may open at the most
AT_HOME = 0.97  # of the marks: at the site where the person always goes
PHONE_TRIP = 0.15  # seconds between two marks that a phone sends one after the other, besides the server's
OUTAGE = 5  # minutes

# --- measured by benchmarks.weights (20,000 people, 60 attendances each, PostgreSQL 18.4) -----------

BYTES = {"person": 199, "attendance": 272, "award": 148, "totals": 267, "operation": 541}  # with indexes
A_PERSON = {"person": 1.0, "attendance": 60.0, "award": 7.9, "totals": 1.2, "operation": 60.0}
WAL = 42_900  # bytes a mark that changes pages not changed since the last checkpoint, as nearly all do in a country


@dataclass(frozen=True, slots=True)
class Costs:
    """Milliseconds of one core, and of the flush of a commit."""

    mark_app: float = 3.0
    mark_db: float = 0.8
    look_app: float = 2.0
    look_db: float = 0.4
    page_app: float = 5.0
    page_db: float = 1.0
    flush: float = 0.33
    """Until a commit is on disk (and on the standby). Marks that sent a NOTIFY would do it one after the other."""
    ask: float = 0.1
    """What each server spends on a question that is put to all of them."""
    prepare: float = 0.2
    """What each of two servers spends on a transaction that spans both, besides a second flush."""


@dataclass(frozen=True, slots=True)
class Camp:
    """One camp of the morning; ``place`` is the hash of its site, from 0 to 1."""

    start: float
    size: int
    phones: int
    place: float


@dataclass(slots=True)
class Morning:
    """Who arrives when: for every minute of the day, seconds and camps."""

    camps: list[Camp]
    seconds: list["array[float]"]
    of_camp: list["array[int]"]

    @property
    def marks(self) -> int:
        """All of them."""
        return sum(len(minute) for minute in self.seconds)

    @property
    def peak(self) -> int:
        """The busiest minute of the day."""
        return max(range(len(self.seconds)), key=lambda minute: len(self.seconds[minute]))


def morning(seed: int = 1, camps: int = CAMPS) -> Morning:
    """A morning, drawn at random and always the same."""
    random = Random(seed)
    draw = random.random
    minutes, shares = zip(*STARTS, strict=True)
    found = []
    for _ in range(camps):
        size = min(MOST, max(5, round(random.lognormvariate(math.log(MEDIAN_SIZE), SPREAD))))
        start = 60 * (random.choices(minutes, shares)[0] + random.uniform(-LATE, LATE))
        found.append(Camp(start, size, 1 + size // PEOPLE_A_PHONE, draw()))
    seconds = [array("d") for _ in range(24 * 60)]
    of_camp = [array("l") for _ in range(24 * 60)]
    for number, camp in enumerate(found):
        start = camp.start
        for _ in range(camp.size):
            after = RUSH * (draw() + draw()) / 2 if draw() < RUSH_SHARE else RUSH + REST * draw()
            minute = int((start + after) // 60)
            seconds[minute].append(start + after)
            of_camp[minute].append(number)
    return Morning(found, seconds, of_camp)


# --- queues --------------------------------------------------------------------------------------

MARK, LOOK, PAGE = range(3)
Job = tuple[float, int, float, float]
"""When it comes, what it is, the place of its site and that of its person, from 0 to 1."""


def jobs_of(found: Morning, first: int, minutes: int, seed: int = 2) -> list[Job]:
    """Everything that is asked of the web processes in some minutes."""
    draw = Random(seed).random
    jobs: list[Job] = []
    for minute in range(first, first + minutes):
        for second, number in zip(found.seconds[minute], found.of_camp[minute], strict=True):
            camp, person = found.camps[number], draw()
            jobs.append((second, MARK, camp.place, person))
            jobs.extend((second + 0.1 + 0.3 * draw(), LOOK, camp.place, person) for _ in range(camp.phones))
            if draw() < CABINETS_OPEN:
                jobs.append((second + 0.2, PAGE, camp.place, person))
            if draw() < PAGES:
                jobs.append((second + 10 * draw(), PAGE, camp.place, person))
    jobs.sort()
    return jobs


@dataclass(frozen=True, slots=True)
class Shape:
    """What serves: web processes, database servers and the cores of each, and where rows are.

    ``placement`` is ``one`` server; ``site``: attendance by site, all else of a person by person; ``person``:
    everything of a person by person; ``home``: everything of a person at the server of their home site.
    ``notices``: whether marks send NOTIFY in their transaction, which makes their commits wait for each other. They
    do not; it shows why.
    """

    web: int
    servers: int
    cores: int
    placement: str
    notices: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """Milliseconds of a mark on the server; shares of the busy time."""

    p50: float
    p95: float
    p99: float
    web: float
    database: float
    lane: float
    """How busy the one commit after the other is, where it must be so."""


def simulate(jobs: Sequence[Job], shape: Shape, costs: Costs, seconds: float, seed: int = 3) -> Result:
    """Let the jobs pass through web processes, each taken by the less busy of two, and then the databases."""
    draw = Random(seed).random
    log = math.log
    app = (costs.mark_app / 1000, costs.look_app / 1000, costs.page_app / 1000)
    free = [0.0] * shape.web
    busy = 0.0
    asked: list[tuple[float, float, int, float, float]] = []
    for at, kind, site, person in jobs:
        one, other = int(draw() * shape.web), int(draw() * shape.web)
        if free[other] < free[one]:
            one = other
        takes = app[kind] * (0.5 - 0.5 * log(1.0 - draw()))
        begun = free[one] if free[one] > at else at
        free[one] = begun + takes
        busy += takes
        asked.append((begun + takes, at, kind, site, person))
    asked.sort()
    servers = _Servers(shape, costs)
    took = []
    for at, came, kind, site, person in asked:
        done = servers.serve(kind, site, person, at, 0.5 - 0.5 * log(1.0 - draw()), draw())
        if kind == MARK:
            took.append(1000 * (done - came))
    took.sort()
    p50, p95, p99 = (took[int(share * len(took))] for share in (0.50, 0.95, 0.99))
    database = servers.busy / (shape.servers * shape.cores * seconds)
    lane = servers.flushing / (shape.servers * seconds)
    return Result(p50, p95, p99, busy / (shape.web * seconds), database, lane)


class _Servers:
    """The database servers, each with its cores."""

    def __init__(self, shape: Shape, costs: Costs) -> None:
        self.shape, self.costs = shape, costs
        self.free = [[0.0] * shape.cores for _ in range(shape.servers)]
        self.lane = [0.0] * shape.servers
        self.busy = self.flushing = 0.0

    def work(self, server: int, at: float, takes: float) -> float:
        """When a server, asked at a time, has done so many seconds of work."""
        free = self.free[server]
        done = max(free[0], at) + takes
        heapq.heapreplace(free, done)
        self.busy += takes
        return done

    def commit(self, server: int, at: float, flushes: int = 1) -> float:
        """When it is on disk."""
        takes = flushes * self.costs.flush / 1000
        if not self.shape.notices:
            return at + takes
        self.lane[server] = max(self.lane[server], at) + takes
        self.flushing += takes
        return self.lane[server]

    def serve(self, kind: int, site: float, person: float, at: float, luck: float, home: float) -> float:
        """When the database has answered a job."""
        costs, shape = self.costs, self.shape
        takes = luck * (costs.mark_db, costs.look_db, costs.page_db)[kind] / 1000
        of_site, of_person = int(site * shape.servers), int(person * shape.servers)
        if shape.placement == "home":  # the person's server is their site's, but for the few who visit another
            of_person = of_site if home < AT_HOME else of_person
        elif shape.placement == "person" and kind != LOOK:
            of_site = of_person
        everywhere = (shape.placement, kind) in (("person", LOOK), ("site", PAGE))
        if everywhere and shape.servers > 1:
            ask = (takes / shape.servers) + costs.ask / 1000
            return max(self.work(server, at, ask) for server in range(shape.servers))
        if of_site == of_person:
            done = self.work(of_person, at, takes)
            return self.commit(of_person, done) if kind == MARK else done
        half = takes / 2 + (costs.prepare / 1000 if kind == MARK else 0)
        spanned = [(server, self.work(server, at, half)) for server in (of_site, of_person)]
        if kind != MARK:
            return max(done for _, done in spanned)
        return max(self.commit(server, done, 2) for server, done in spanned)


# --- questions -----------------------------------------------------------------------------------

USED = (0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5)
ENOUGH = 300  # milliseconds for 99 of 100 marks


def load(jobs: Sequence[Job], costs: Costs, seconds: float) -> tuple[float, float]:
    """How many cores the jobs keep busy, of web processes and of one database."""
    number = [0, 0, 0]
    for _, kind, _, _ in jobs:
        number[kind] += 1
    app = number[MARK] * costs.mark_app + number[LOOK] * costs.look_app + number[PAGE] * costs.page_app
    base = number[MARK] * costs.mark_db + number[LOOK] * costs.look_db + number[PAGE] * costs.page_db
    return app / 1000 / seconds, base / 1000 / seconds


def fewest(jobs: Sequence[Job], costs: Costs, seconds: float, shape: Shape, what: str) -> tuple[Shape, Result]:
    """The smallest of some numbers of web processes (or cores of a server) with which marks are quick enough."""
    web, base = load(jobs, costs, seconds)
    wanted = web if what == "web" else base / shape.servers
    for used in USED:
        number = max(1, math.ceil(wanted / used))
        shape = replace(shape, web=number) if what == "web" else replace(shape, cores=number)
        result = simulate(jobs, shape, costs, seconds)
        if result.p99 < ENOUGH and max(result.web, result.database) < 1:
            break
    return shape, result


@dataclass(frozen=True, slots=True)
class Outage:
    """What the loss of one server does: the share of marks that is cut off, how many wait on phones at the
    most, and how many seconds after its return all are sent.
    """

    share: float
    most_waiting: int
    sent_after: int


def outage(found: Morning, shape: Shape, usual: Result) -> Outage:
    """The loss of one server from the busiest minute on; ``usual`` is how busy all are in that minute.

    Phones send what waits one mark after the other. Each comes with its looks and pages, as ever.
    """
    lost = 1 / shape.servers
    share = 1 - (1 - lost) ** 2 if shape.placement == "site" else lost
    marks = len(found.seconds[found.peak]) / 60
    web = marks * 0.9 / usual.web - marks * (1 - share)
    server = marks * share * 0.9 / usual.database
    phones = sum(camp.phones for camp in found.camps)
    if shape.placement in ("home", "one"):  # only those of the camps that were cut off
        phones = round(phones * share)
    sent = min(web, server, phones / PHONE_TRIP)
    begun, back = found.peak * 60, (found.peak + OUTAGE) * 60
    waiting = most = 0.0
    for second in range(begun, 24 * 3600):
        waiting += len(found.seconds[second // 60]) / 60 * share
        most = max(most, waiting)
        if second >= back:
            waiting = max(0.0, waiting - sent)
        if second >= back and not waiting:
            break
    return Outage(share, round(most), second - back)


def kept(servers: int, yearly: int) -> dict[str, Any]:
    """Gigabytes of each table with its indexes, of all of it, on each server, and what a year adds."""
    table = {name: PEOPLE * A_PERSON[name] * BYTES[name] / 1e9 for name in BYTES}
    a_year = yearly * (BYTES["attendance"] + BYTES["operation"]) / 1e9
    whole = sum(table.values())
    return {"tables": table, "whole": whole, "a_server": whole / servers, "a_year": a_year}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in asdict(Costs()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=value, help="ms (default %(default)s)")
    parser.add_argument("--camps", type=int, default=CAMPS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures there")
    given = parser.parse_args()
    costs = Costs(**{name: getattr(given, name) for name in asdict(Costs())})
    begun = time.perf_counter()
    found = morning(given.seed, given.camps)
    peak, marks = found.peak, found.marks
    jobs = jobs_of(found, peak, 1)
    web, base = load(jobs, costs, 60)
    a_second = len(found.seconds[peak]) / 60
    phones = sum(camp.phones for camp in found.camps)
    live = round(phones + a_second * PAGES * PAGE_OPEN)
    processes = max(math.ceil(live / LIVE_A_PROCESS), math.ceil(web / 0.6))
    figures: dict[str, Any] = {
        "marks": marks,
        "live_pages": live,
        "processes": processes,
        "most_connections": processes * POOL,
        "peak_a_second": a_second,
        "jobs_a_second": len(jobs) / 60,
        "phones": phones,
        "busy_cores": {"web": web, "database": base},
    }
    print(
        f"{given.camps:,} camps, {marks:,} marks, {phones:,} open roll calls; busiest minute {peak // 60}:{peak % 60:02}:"
    )
    print(f"{a_second:,.0f} marks/s, {len(jobs) / 60:,.0f} requests and looks/s, which keep busy")
    print(f"{web:.1f} cores of web processes and {base:.1f} cores of one database.")
    print(f"{live:,} live pages at once take {processes} processes, which may open {processes * POOL:,} connections.\n")

    print(f"{'':<44}{'web':>5}{'db':>8}{'p50':>8}{'p95':>8}{'p99 ms':>8}{'web':>6}{'db':>6}{'lane':>6}")

    def line(name: str, shape: Shape, result: Result, note: str = "") -> None:
        label = f"{shape.servers}×{shape.cores}"
        times = "".join(f"{each:>8,.0f}" for each in (result.p50, result.p95, result.p99))
        used = "".join(f"{each:>6.0%}" for each in (result.web, result.database, result.lane))
        print(f"{name:<44}{shape.web:>5}{label:>8}{times}{used}{note}")
        figures.setdefault("runs", []).append({"name": name, **asdict(shape), **asdict(result)})

    roomy = Shape(math.ceil(web / 0.6), 1, math.ceil(base / 0.5), "one")
    for flush in (0.1, costs.flush, 1.0):
        shape, slower = replace(roomy, notices=True), replace(costs, flush=flush)
        line(f"one database, with NOTIFY, flush {flush} ms", shape, simulate(jobs, shape, slower, 60))
    shape, _ = fewest(jobs, costs, 60, roomy, "web")
    shape, result = fewest(jobs, costs, 60, shape, "cores")
    line("one database: the fewest", shape, result)
    result = simulate(jobs, roomy, costs, 60)
    line("one database: with room", roomy, result)
    outages: dict[str, Outage] = {"one": outage(found, roomy, result)}
    for servers in (4, 8):
        for placement in ("person", "site", "home"):
            cores = math.ceil(base / 0.4 / servers)
            shape = Shape(roomy.web, servers, max(2, cores), placement)
            result = simulate(jobs, shape, costs, 60)
            line(f"{servers} servers, rows by {placement}", shape, result)
            outages[f"{servers} by {placement}"] = outage(found, shape, result)

    print(f"\n{'one server lost for 5 minutes':<32}{'cut off':>9}{'waiting':>12}{'sent after s':>14}")
    for name, lost in outages.items():
        print(f"{name:<32}{lost.share:>9.0%}{lost.most_waiting:>12,}{lost.sent_after:>14,}")
    figures["outages"] = {name: asdict(lost) for name, lost in outages.items()}

    yearly = marks * 52
    size = figures["kept"] = kept(8, yearly)
    print(f"\n{'kept, GB with indexes':<32}{'all':>9}{'on 1 of 8':>12}")
    for name, amount in size["tables"].items():
        print(f"{name:<32}{amount:>9,.0f}{amount / 8:>12,.0f}")
    print(f"{'together':<32}{size['whole']:>9,.0f}{size['a_server']:>12,.0f}")
    print(f"a year of such Sundays: {yearly / 1e6:,.0f} million attendances, {size['a_year']:,.0f} GB more")
    log_rate = a_second * WAL / 1e6
    figures["wal"] = {"MB_a_second_at_peak": log_rate, "GB_a_morning": marks * WAL / 1e9}
    print(f"the log of writes: {log_rate:.0f} MB/s in the busiest minute, {marks * WAL / 1e9:.0f} GB that morning")
    print(f"\n({time.perf_counter() - begun:.0f} s)")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
