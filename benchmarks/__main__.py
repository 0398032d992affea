"""Everything that is measured, in one run on one machine: ``python -m benchmarks [--quick] [--json FILE] [PART …]``.

Parts: marks, wal, corrections, growth, pages, evaluation, import, history, live, roll-call, phone; all of
them where none is named. The organisations are made once and kept in ``build/benchmarks``; the full ones take
about half an hour and 20 GB. Nothing else should run meanwhile.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import time
from dataclasses import asdict
from pathlib import Path

from benchmarks.data import SECRET, Shape
from benchmarks.figures import Figure, limit
from benchmarks.servers import FOLDER, Postgres

FULL = Shape(1_000_000, 4_000, 20, sites=10)
QUICK = Shape(20_000, 400, 20, sites=10)


def phone() -> list[Figure]:
    """The first visit of the cabinet."""
    from benchmarks import first_visit

    found = first_visit.measure()
    score = found["score"]
    what = "first visit on a phone (Lighthouse mobile)"
    return [
        limit(f"{what}: LCP", found["lcp_ms"] / 1000, 1.2, "s"),
        limit(f"{what}: over the wire", found["total_bytes"] / 1000, 60, "KB"),
        Figure(f"{what}: performance", f"{score:.0f}", "–", None, "≥ 98", score >= 98),
    ]


def main() -> None:
    """Measure what is asked for, print the table, write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller organisations, shorter rounds")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    parser.add_argument("parts", nargs="*", metavar="PART", help="what to measure; else everything")
    asked = parser.parse_args()
    os.environ["SECRET_KEY"] = SECRET
    from benchmarks import bulk, corrections, imports, live, marks, pages, roll_call, wal

    if shutil.which("wrk") is None:
        sys.exit("wrk is missing: install Debian's package wrk.")
    FOLDER.mkdir(parents=True, exist_ok=True)
    postgres = Postgres(FOLDER / "postgres")
    large = QUICK if asked.quick else FULL
    parts = {
        "marks": lambda: marks.measure(postgres, asked.quick),
        "wal": lambda: wal.measure(postgres, asked.quick),
        "corrections": lambda: corrections.measure(postgres, asked.quick),
        "growth": lambda: marks.measure_growth(postgres, large, 200 if asked.quick else 600),
        "pages": lambda: pages.measure(postgres, large),
        "evaluation": lambda: bulk.measure_evaluation(postgres, large),
        "import": lambda: bulk.measure_import(postgres, 20_000 if asked.quick else 1_000_000),
        "history": lambda: imports.measure(imports.QUICK if asked.quick else imports.History()),
        "live": lambda: live.measure(postgres, 100 if asked.quick else 400),
        "roll-call": lambda: roll_call.measure(postgres),
        "phone": phone,
    }
    quick_parts = [part for part in parts if part != "phone"]  # Lighthouse alone takes more than a minute
    figures: list[Figure] = []
    for part in asked.parts or (quick_parts if asked.quick else parts):
        began = time.monotonic()
        found = parts[part]()
        figures += found
        print(f"\n{part} ({time.monotonic() - began:.0f} s)")
        print_table(found)
    if asked.json:
        machine = {"cores": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()[2]}
        asked.json.write_text(json.dumps({"machine": machine, "figures": [asdict(each) for each in figures]}, indent=1))
    missed = sum(not each.reached for each in figures)
    print(f"\n{len(figures) - missed} of {len(figures)} targets reached.")


def print_table(figures: list[Figure]) -> None:
    """Print the figures as a table of Markdown, as the documentation has it, and the notes below."""
    print("| what | measured | against | ratio | target | reached |\n|---|---|---|---|---|---|", flush=True)
    for figure in figures:
        print(f"| {' | '.join(figure.line())} |", flush=True)
    for note, names in _notes(figures).items():
        print(f"\n{', '.join(names)}:\n{note}", flush=True)


def _notes(figures: list[Figure]) -> dict[str, list[str]]:
    """Return each note with the names of the figures that have it."""
    notes: dict[str, list[str]] = {}
    for figure in figures:
        if figure.note:
            notes.setdefault(figure.note, []).append(figure.name)
    return notes


if __name__ == "__main__":
    main()
