"""Formulas in CSV files: defused on the way out, whole again on the way in."""

import csv
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.domain import cells


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'=1", "''-1"])
def test_what_could_be_run_is_defused(formula: str) -> None:
    assert cells.defused(formula) == f"'{formula}"


@pytest.mark.parametrize("text", ["Asha Rao", "O’Brien", "'t Hooft", "a=b", "2026-04-12", ""])
def test_what_cannot_be_run_is_left_alone(text: str) -> None:
    assert cells.defused(text) == text
    assert cells.plain(text) == text


@given(st.text(alphabet="'=+-@\t\ra", max_size=6))
def test_whatever_is_defused_comes_back(text: str) -> None:
    assert cells.plain(cells.defused(text)) == text
    assert not cells.defused(text).startswith(("=", "+", "-", "@", "\t", "\r"))


def test_a_file_is_made_as_it_is_read() -> None:
    pulled = 0

    def rows() -> object:
        nonlocal pulled
        while True:
            pulled += 1
            yield pulled, "=1", None

    lines = cells.file_of(("number", "text", "nothing"), rows())  # type: ignore[arg-type]
    assert next(lines) == "\ufeffnumber,text,nothing\r\n"
    assert pulled == 0
    some = list(csv.reader(StringIO(next(lines))))
    assert some[0] == ["1", "'=1", ""]
    assert pulled == len(some) == cells.TOGETHER
