"""Whatever a request or a command changes is entered into the audit trail in the same transaction: looked at in
every test, so that no verb is forgotten. And the trail is only ever added to.
"""

import re
from typing import Any

import click
from flask import has_request_context, request
from sqlalchemy import Connection, Engine, event

# What the organisation knows. What follows from it (totals, boards), and what only carries work (jobs), is not here.
KEPT = {
    "person",
    "former_name",
    "site",
    "camp",
    "attendance",
    "closing",
    "badge",
    "definition",
    "award",
    "revocation",
    "setting",
}
CHANGE = re.compile(r'\b(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+"?(\w+)', re.IGNORECASE)
REWRITING = re.compile(r'\b(?:UPDATE|DELETE\s+FROM)\s+"?(?:entry|entry_award)\b', re.IGNORECASE)


class Watch:
    """Collects the transactions of requests and commands that changed something and entered nothing, or changed
    what was entered; ``flask seed`` alone may empty everything.
    """

    def __init__(self, engine: Engine) -> None:
        self.unentered: list[str] = []
        event.listen(engine, "begin", self._begin)
        event.listen(engine, "after_cursor_execute", self._execute)
        event.listen(engine, "commit", self._commit)

    def _begin(self, connection: Connection) -> None:
        connection.info["changed"] = set()

    def _execute(self, connection: Connection, cursor: Any, statement: str, *_: object) -> None:
        if cursor.rowcount:
            connection.info.setdefault("changed", set()).update(CHANGE.findall(statement))
        if REWRITING.search(statement) and _by() not in ("", "seed"):
            self.unentered.append(f"{_by()}: {statement}")

    def _commit(self, connection: Connection) -> None:
        changed = connection.info.get("changed", set())
        by = _by()
        if by and changed & KEPT and "entry" not in changed:
            self.unentered.append(f"{by}: {', '.join(sorted(changed & KEPT))}")


def _by() -> str:
    """The request or the command that is under way."""
    if has_request_context():
        return request.path
    return getattr(click.get_current_context(silent=True), "info_name", None) or ""
