"""CSV to take away: :mod:`webapp.domain.cells` makes it, this sends it."""

from collections.abc import Callable, Iterator

from flask import Response, stream_with_context

from webapp.database import db, snapshot


def csv_file(lines: Iterator[str], name: str) -> Response:
    """A CSV file to download, sent while it is read."""
    response = Response(lines, mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["X-Accel-Buffering"] = "no"
    return response


def streamed(lines: Callable[[], Iterator[str]]) -> Iterator[str]:
    """Read what ``lines`` gives as it is sent, all of one moment. Call it within the request."""

    def read() -> Iterator[str]:
        snapshot()
        try:
            yield from lines()
        finally:
            db.session.rollback()

    return stream_with_context(read())
