"""CSV to take away: :mod:`webapp.domain.cells` makes it, this sends it."""

from collections.abc import Iterator

from flask import Response


def csv_file(lines: Iterator[str], name: str) -> Response:
    """A CSV file to download, sent while it is read."""
    response = Response(lines, mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["X-Accel-Buffering"] = "no"
    return response
