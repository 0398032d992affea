"""Which page of a list is asked for."""

from flask import request

MOST_PAGES = 1_000_000


def page_asked() -> int:
    """The number of the page in the address: 1 where there is none, and never more than a database can count to."""
    return min(max(1, request.args.get("page", 1, type=int)), MOST_PAGES)
