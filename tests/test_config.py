from pathlib import Path

import pytest

from webapp.config import ConfigError, from_environment


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DATABASE_URL", "mysql://host/db", "must begin with sqlite:// or postgresql"),
        ("DATABASE_URL", "postgresql://host/db", "must begin with"),
        ("DATABASE_URL", "nonsense", "is not a database address"),
        ("DATABASE_URL", "sqlite://", "must name a file"),
        ("DATABASE_URL", "postgresql+psycopg://u@/db?host=a:1,b:2", "each of several servers"),
        ("SECRET_KEY", "short", "at least 16 characters"),
        ("SECRET_KEY", "", "at least 16 characters"),
        ("THREADS", "many", "THREADS must be a whole number of at least 8"),
        ("THREADS", "4", "at least 8"),
        ("METRICS_TOKEN", "short", "METRICS_TOKEN must have at least 16 characters"),
        ("TRUSTED_PROXIES", "-1", "TRUSTED_PROXIES must be a whole number"),
    ],
)
def test_a_bad_setting_stops_the_start_with_a_clear_line(tmp_path: Path, name: str, value: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        from_environment({name: value}, tmp_path)


def test_the_secret_is_made_once_and_for_nobody_elses_eyes(tmp_path: Path) -> None:
    first = from_environment({}, tmp_path / "instance")["SECRET_KEY"]
    assert len(first) >= 32
    assert from_environment({}, tmp_path / "instance")["SECRET_KEY"] == first
    assert from_environment({}, tmp_path / "other")["SECRET_KEY"] != first
    assert (tmp_path / "instance" / "secret_key").stat().st_mode & 0o077 == 0
    assert [file.name for file in (tmp_path / "instance").iterdir()] == ["secret_key"]


@pytest.mark.parametrize(("threads", "streams"), [(8, 6), (100, 75), (256, 192), (640, 576)])
def test_three_of_four_threads_may_hold_a_live_page_and_all_but_64_of_many(
    tmp_path: Path, threads: int, streams: int
) -> None:
    assert from_environment({"THREADS": str(threads)}, tmp_path)["LIVE_STREAMS"] == streams
