"""CSV to take away: sent row by row as it is read, and safe to open in a spreadsheet."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO

from flask import Response, stream_with_context

BOM = "\ufeff"  # by which Excel knows UTF-8
# What spreadsheets take for the beginning of a formula (OWASP, "CSV injection"); an apostrophe keeps them from it.
FORMULA = re.compile(r"'*[=+\-@\t\r]")
BATCH = 500  # rows that are sent together


def defused(value: object) -> object:
    """A cell that no spreadsheet takes for a formula: text that looks like one gets an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value


def streamed(name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """The answer that sends ``rows`` under a ``header`` as the file ``name``, without holding them all."""
    response = Response(stream_with_context(_text(header, rows)), mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    buffer = StringIO()
    table = csv.writer(buffer)
    buffer.write(BOM)
    table.writerow(header)
    for number, row in enumerate(rows, 1):
        table.writerow([defused(cell) for cell in row])
        if number % BATCH == 0:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()
