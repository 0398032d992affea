"""How a setting is read, strictly. Alone here, so that gunicorn's master can do it without the application."""

from collections.abc import Mapping, Sequence


class ConfigError(Exception):
    """A setting cannot be used; the message names it and says what it must be."""


def whole_number(environment: Mapping[str, str], name: str, *, default: int, least: int = 0) -> int:
    """A setting that is a whole number. Raises :class:`ConfigError` for anything else or less."""
    text = environment.get(name, "").strip()
    if not text:
        return default
    if not text.isdecimal() or int(text) < least:
        raise ConfigError(f"{name} must be a whole number of at least {least}, not “{text}”.")
    return int(text)


def one_of(environment: Mapping[str, str], name: str, choices: Sequence[str]) -> str:
    """A setting that is one of a few words, the first where none is given. Raises :class:`ConfigError`."""
    text = environment.get(name, "").strip() or choices[0]
    if text not in choices:
        raise ConfigError(f"{name} must be {' or '.join(choices)}, not “{text}”.")
    return text
