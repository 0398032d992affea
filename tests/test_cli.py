"""The commands, through the door an operator takes."""

from pathlib import Path

from click.testing import Result
from flask import Flask

from tests.conftest import People
from webapp.domain.people import credentials
from webapp.domain.people.accounts import Role, by_book_no


def run(app: Flask, *args: str, typed: str = "") -> Result:
    return app.test_cli_runner().invoke(args=args, input=typed)


def test_create_admin_asks_for_name_and_password(app: Flask) -> None:
    done = run(app, "create-admin", typed="Meera Krishnan\ncorrect horse\ncorrect horse\n")
    assert done.exit_code == 0, done.output
    assert "book number 1" in done.output
    assert "correct horse" not in done.output
    with app.app_context():
        person = credentials.authenticate(1, "correct horse")
    assert person is not None
    assert person.role is Role.ADMIN


def test_create_admin_refuses_a_short_password_and_a_number_in_use(app: Flask, people: People) -> None:
    short = run(app, "create-admin", "--name", "M", typed="short\nshort\n")
    assert short.exit_code == 1
    assert "at least 8 characters" in short.output
    for number in ("0", "99999999999"):
        outside = run(app, "create-admin", "--name", "M", "--book-no", number, typed="correct horse\ncorrect horse\n")
        assert outside.exit_code == 1
        assert "cannot be a book number" in outside.output
    taken = run(app, "create-admin", "--name", "M", "--book-no", "1", typed="correct horse\ncorrect horse\n")
    assert taken.exit_code == 1
    assert "belongs to somebody already" in taken.output


def test_set_password(app: Flask, people: People) -> None:
    book_no = people.volunteer.book_no
    done = run(app, "set-password", str(book_no), typed="another horse\nanother horse\n")
    assert done.exit_code == 0, done.output
    with app.app_context():
        assert credentials.authenticate(book_no, "another horse")
    unknown = run(app, "set-password", "999", typed="another horse\nanother horse\n")
    assert unknown.exit_code == 1
    assert "Nobody has book number 999" in unknown.output
    assert run(app, "set-password", "abc").exit_code == 2


def test_import_reports_bad_rows_and_keeps_the_good_on_request(app: Flask, tmp_path: Path) -> None:
    file = tmp_path / "f.csv"
    file.write_text("book_no,name,camp,camp_date\n1,Asha,Camp,2026-04-05\nx,Imran,Camp,2026-04-05\n")
    refused = run(app, "import", str(file))
    assert refused.exit_code == 1
    assert "line 3: “x” is not a book number" in refused.output
    assert "Nothing was stored" in refused.output
    with app.app_context():
        assert by_book_no(1) is None
    kept = run(app, "import", str(file), "--keep-good")
    assert kept.exit_code == 0
    assert "1 rows stored" in kept.output
    assert "line 3" in kept.output
    awards = run(app, "awards").stdout.splitlines()
    assert awards == ["book_no,badge,camp_date,earned_at", "1,First Step,2026-04-05,2026-04-05T03:30:00+00:00"]
    assert run(app, "standings").stdout.splitlines()[1] == "1,1,Asha,1,1,1,First Step"


def test_import_of_nothing_readable_says_so(app: Flask, tmp_path: Path) -> None:
    done = run(app, "import", str(tmp_path / "none.csv"))
    assert done.exit_code == 1
    assert "cannot be read" in done.output


def test_seed_tells_the_accounts_and_spares_real_data(app: Flask, people: People) -> None:
    spared = run(app, "seed")
    assert spared.exit_code == 0
    assert "left it alone" in spared.output
    refused = run(app, "seed", "--clear")
    assert refused.exit_code == 1
    assert "--erase-real-data" in refused.output
    done = run(app, "seed", "--clear", "--erase-real-data")
    assert done.exit_code == 0
    assert "book number 3 / coordinator123" in done.output
