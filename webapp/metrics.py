"""What Prometheus may read of this installation: counts and times, of nobody in particular.

Label values come from lists of our own (endpoints, methods, statuses, states), never from an address, so
that there are only so many of them. Several processes of one machine add up through files in the folder
that ``PROMETHEUS_MULTIPROC_DIR`` names, which :mod:`webapp.server` makes.
"""

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"))
BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)  # seconds

REQUESTS = Counter("camp_badges_requests", "Requests answered.", ["endpoint", "method", "status"])
SECONDS = Histogram("camp_badges_request_seconds", "Seconds until the answer began.", ["endpoint"], buckets=BUCKETS)
MARKS = Counter("camp_badges_marks", "Marks carried out, by where they came in.", ["door"])
AWARDS = Counter("camp_badges_awards", "Badges awarded by marks and evaluations.")
LIVE_STREAMS = Gauge("camp_badges_live_streams", "Live pages that hold a thread.", multiprocess_mode="livesum")
LIVE_STREAMS_REFUSED = Counter(
    "camp_badges_live_streams_refused", "Live pages that were told to come back, for want of a thread."
)


def answered(endpoint: str | None, method: str, status: int, seconds: float) -> None:
    """Count one request and the seconds until its answer began."""
    named = endpoint or "none"
    REQUESTS.labels(named, method if method in METHODS else "other", status).inc()
    SECONDS.labels(named).observe(seconds)


def marked(door: str, marks: int, awards: int) -> None:
    """Count marks that came in by ``door`` (``api``, ``form``, ``phone``) and the badges they earned."""
    if marks:
        MARKS.labels(door).inc(marks)
    if awards:
        AWARDS.inc(awards)


def exposition() -> bytes:
    """All of it, from every process of this machine, in Prometheus' text format 0.0.4."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest()
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
