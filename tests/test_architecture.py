"""What the sources keep to beside the order of imports, which import-linter holds (see pyproject.toml)."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def modules() -> Iterator[tuple[str, ast.Module]]:
    for file in sorted((ROOT / "webapp").rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        yield ".".join(part for part in parts if part != "__init__"), ast.parse(file.read_text())


def test_the_domain_never_commits_but_to_let_go_before_hashing_and_for_the_fast_path() -> None:
    commits = [
        (module, node.lineno)
        for module, tree in modules()
        if module.startswith("webapp.domain.")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "commit"
    ]
    assert [module for module, _ in commits] == [
        "webapp.domain.attendance.fast_path",
        "webapp.domain.people.credentials",
    ]


# Ids are ordered by the real time, and the library that counts for the limits counts by it.
OF_REAL_TIME = ("webapp.clock", "webapp.infra.ids", "webapp.views.rate_limits")
TIMES = ("datetime.now", "datetime.utcnow", "date.today", "time.time", "time_ns")


def test_time_comes_from_the_one_clock() -> None:
    for module, tree in modules():
        if module in OF_REAL_TIME:
            continue
        for node in ast.walk(tree):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            assert called not in TIMES, (module, node)


REWRITES = re.compile(
    r"\b(?:update|delete)\((?:\w+\.)?(?:Audit)?Entry(?:Award)?\b|session\.(?:delete|merge)\(entry\b|\bentry\.\w+ = "
    r"|(?i:\b(?:update|delete from|truncate(?: table)?) \"?entry(?:_award)?\b)"
)


def test_the_audit_trail_is_only_ever_added_to() -> None:
    """Nothing updates or deletes its rows but the demo, which clears everything in a loop over the tables."""
    for file in [*(ROOT / "webapp").rglob("*.py"), *(ROOT / "migrations").rglob("*.py")]:
        assert not REWRITES.search(file.read_text()), file
    for rewriting in ("delete(EntryAward)", "update(audit.Entry)", "DELETE FROM entry", "entry.device = 1"):
        assert REWRITES.search(rewriting)


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout; clone the repository to check what it tracks")
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_nothing_third_party_and_no_address_of_a_registry_is_tracked() -> None:
    for file in tracked():
        name = file.relative_to(ROOT).as_posix()
        assert not re.search(r"node_modules|\.min\.(js|css)$|static/vendor|uv\.lock|\.whl$|\.tgz$", name), name
        if file.suffix in (".lock", ".json"):
            assert "://" not in file.read_text(), name


def test_every_partial_has_one_root_or_is_told_apart_by_its_underscore() -> None:
    """What starts with an underscore is a fragment; what does not is a whole page or holds macros."""
    for file in (ROOT / "templates").rglob("*.html"):
        text = file.read_text()
        whole = "{% extends" in text or "<!doctype" in text
        if file.name.startswith("_"):
            assert not whole, file
        elif file.parent.name != "components":
            assert whole, file


# docs/glossary.md has the words that took their place.
RETIRED = {"settlement", "settling", "reckoning", "restate", "tally", "stretch", "rolls", "together"}


def test_retired_words_name_nothing() -> None:
    for module, tree in modules():
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names = [node.name]
            elif isinstance(node, ast.Name):
                names = [node.id]
            elif isinstance(node, ast.arg):
                names = [node.arg]
            for name in names:
                words = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+", name)}
                assert not words & RETIRED, f"{module}: {name}"
