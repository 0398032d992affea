"""Reading a history line by line: as the csv module reads it, and on after a line that nobody can read."""

import csv
from datetime import date
from io import StringIO
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.domain.errors import InvalidError
from webapp.domain.import_export.history_file import Entry, Problem, Reader
from webapp.domain.models.attendance import CampRole, State

HEADER = ("name", "book_no", "camp", "camp_date")
# What may stand in a cell, quotes and separators above all; an apostrophe is :mod:`tests.domain.test_cells`'s.
TEXTS = st.text(st.sampled_from('aZé ";,\t“'), max_size=12).map(lambda text: f"x{text}x")


def pieces(content: bytes, size: int) -> list[bytes]:
    return [content[at : at + size] for at in range(0, len(content), size)]


@given(
    rows=st.lists(st.tuples(TEXTS, TEXTS), max_size=8),
    separator=st.sampled_from(",;\t"),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    start=st.sampled_from(["", "\ufeff"]),
    stray=st.integers(0, 8),
    size=st.integers(1, 80),
    left_after=st.integers(0, 8),
)
def test_it_reads_as_the_csv_module_does_and_a_stray_quote_costs_its_own_line(
    rows: list[tuple[str, str]],
    separator: str,
    end: str,
    quoting: Literal[0, 1],
    start: str,
    stray: int,
    size: int,
    left_after: int,
) -> None:
    text = StringIO()
    table = csv.writer(text, delimiter=separator, lineterminator=end, quoting=quoting)
    table.writerow(HEADER)
    table.writerows((name, 7, camp, "2026-04-05") for name, camp in rows)
    lines = text.getvalue().split(end)
    as_csv = list(csv.reader(StringIO(text.getvalue(), newline=""), delimiter=separator))[1:]
    expected = [(line, " ".join(row[0].split()), " ".join(row[2].split())) for line, row in enumerate(as_csv, start=2)]

    def read(content: str) -> list[Entry | Problem]:
        """Left after some row, and taken up there by another reader."""
        sent = (start + content).encode()
        reader, found = Reader(pieces(sent, size)), []
        for row in reader:
            found.append(row)
            if len(found) == left_after:
                break
        return found + list(Reader(pieces(sent[reader.place.at :], size), reader.form, reader.place))

    def good(found: list[Entry | Problem]) -> list[tuple[int, str, str]]:
        return [(row.line, row.name, row.camp) for row in found if isinstance(row, Entry)]

    assert good(read(end.join(lines))) == expected

    at = min(stray, len(rows)) + 1  # lines before it
    lines.insert(at, separator.join(('"Asha', "7", "Camp", "2026-04-05")))
    found = read(end.join(lines))
    assert good(found) == [(line + (line > at), name, camp) for line, name, camp in expected]
    (problem,) = (row for row in found if isinstance(row, Problem))
    assert problem.line == at + 1
    assert 'a quote (") is not closed on this line' in problem.reason


@pytest.mark.parametrize("row", ['"Asha\nRao",7,Camp,2026-04-05', 'Asha,7,"Camp\n\n",2026-04-05'])
def test_a_cell_with_a_line_break_is_bad_on_every_line_that_is_not_empty(row: str) -> None:
    content = f"{','.join(HEADER)}\n{row}\nBinu,8,Camp,2026-04-05\n"
    *bad, last = Reader([content.encode()])
    assert [type(each) for each in bad] == [Problem, Problem]
    assert isinstance(last, Entry)
    assert last.line == content.count("\n")


def test_a_header_with_a_stray_quote_is_refused_at_once() -> None:
    with pytest.raises(InvalidError, match="The first line is not readable as CSV: a quote"):
        Reader([b'book_no,"name,camp,camp_date\n7,Asha,Camp,2026-04-05\n'])


def test_empty_columns_that_a_spreadsheet_writes_at_the_end_are_none() -> None:
    rows = "7;Asha Rao;Camp;2026-04-05;;", "8;Binu;Camp;2026-04-05", "9;Devi;Camp;2026-04-05;;x"
    first, second, third = Reader(["\r\n".join(["book_no;name;camp;camp_date;;", *rows]).encode()])
    assert [row.name for row in (first, second) if isinstance(row, Entry)] == ["Asha Rao", "Binu"]
    assert third == Problem(4, "it has 6 of 4 columns.")


def test_columns_and_their_words_are_understood_in_any_case() -> None:
    header = " Book_No ;NAME; Camp;Camp_Date;CAMP_ROLE; Attended "
    (row,) = Reader([f"{header}\n7;Asha Rao;Eye Camp;2026-04-05; Doctor ;YES\n".encode()])
    assert row == Entry(2, 7, "Asha Rao", "", "Eye Camp", date(2026, 4, 5), CampRole.DOCTOR, State.PRESENT)
