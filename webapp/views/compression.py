"""What goes over the wire is compressed: pages as they are made, static files once and as small as they get."""

from functools import cache
from pathlib import Path

import brotli
from flask import Flask, Response, current_app, request
from flask_compress import Compress

# A page holds a secret (the CSRF token) beside what its reader typed, which compression could be made to tell
# (BREACH) if another site could make this reader's browser ask for pages; the SameSite cookie forbids that.
_compress = Compress()
TEXT = ("text/", "image/svg+xml", "application/json")


def init_app(app: Flask) -> None:
    """Compress every answer worth it. Live streams are not: each event has to leave at once."""
    app.config.from_mapping(
        COMPRESS_ALGORITHM=["br", "gzip"], COMPRESS_ALGORITHM_STREAMING=["br", "gzip"], COMPRESS_BR_LEVEL=5
    )
    _compress.init_app(app)
    app.after_request(_static)  # runs before the one above, which leaves alone what is compressed already


def _static(response: Response) -> Response:
    """A static file as a whole: the library would compress it anew for everybody, and leave it open."""
    if request.endpoint != "static":
        return response
    whole = response.status_code == 200 and request.method == "GET"
    if whole:
        response.direct_passthrough = False
        response.make_sequence()
    if response.status_code != 206:
        # The file is closed now, not after the answer: a server whose reader has gone may never come to that.
        response.close()
    if not whole:
        return response
    text = (response.mimetype or "").startswith(TEXT)
    if text and request.accept_encodings["br"] and "Range" not in request.headers:
        file = Path(str(current_app.static_folder)) / (request.view_args or {})["filename"]
        response.set_data(_smallest(file, file.stat().st_mtime_ns))
        response.headers["Content-Encoding"] = "br"
    return response


@cache
def _smallest(file: Path, _changed: int) -> bytes:
    return bytes(brotli.compress(file.read_bytes(), quality=11))
