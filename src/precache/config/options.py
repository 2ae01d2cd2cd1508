"""How an option group is declared: oslo.config options beside the frozen dataclass that they become."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, Generic, TypeVar, get_type_hints

from oslo_config import cfg

from precache.core.errors import InvalidConfiguration

Settings = TypeVar("Settings")


@dataclass(frozen=True, slots=True)
class OptionGroup(Generic[Settings]):
    """A section of the file.

    name: of the section; None is [DEFAULT]. parse: makes the settings from the section's parsed options, and
    raises InvalidConfiguration for a contradictory combination.
    """

    name: str | None
    help: str
    options: Sequence[cfg.Opt]
    parse: Callable[[Any], Settings]

    def register(self, conf: cfg.ConfigOpts) -> None:
        if self.name is not None:
            conf.register_group(cfg.OptGroup(self.name, help=self.help))
        conf.register_opts(self.options, group=self.name)

    def read(self, conf: cfg.ConfigOpts) -> Settings:
        return self.parse(conf if self.name is None else conf[self.name])


_PYTHONS_WORDS = {
    "invalid literal for int() with base 10: ": "a whole number",
    "could not convert string to float: ": "a number",
}
"""How Python's errors for a value that is no number begin, and what the option needs."""

_CONVERSIONS: dict[Any, Callable[[Any], Any]] = {
    timedelta: lambda seconds: timedelta(seconds=seconds),
    Path: Path,
    tuple[str, ...]: tuple,
    str | None: lambda text: text or None,
}


def settings_of(kind: type[Settings], values: Any, **computed: Any) -> Settings:
    """Return the settings with the values of the options that have the names of their fields.

    An option of a duration is in seconds. computed: the fields that are not the value of one option.
    """
    types = get_type_hints(kind)
    found = {
        field.name: _CONVERSIONS.get(types[field.name], lambda value: value)(values[field.name])
        for field in fields(kind)  # type: ignore[arg-type]  # every kind of settings is a dataclass
        if field.name not in computed and field.default is MISSING
    }
    return kind(**found, **computed)


def read_value(conf: cfg.ConfigOpts, group: str | None, option: cfg.Opt) -> Any:
    """Return an option's value. Raises InvalidConfiguration with the option's name, without any part of a secret."""
    place = f"[{group or 'DEFAULT'}] {option.name}"
    try:
        return (conf if group is None else conf[group])[option.dest]
    except (ValueError, cfg.ConfigFileValueError) as error:
        # oslo.config's message has the option's repr before this part.
        reason = "its value is not valid" if option.secret else _plain(str(error).rpartition("is not valid: ")[2])
        raise InvalidConfiguration(f"{place}: {reason}") from error
    except (cfg.NoSuchOptError, cfg.NoSuchGroupError, cfg.TemplateSubstitutionError) as error:
        # Passwords can contain a $, and the library's message would show the text after it.
        raise InvalidConfiguration(
            f"{place}: a $ refers to the value of another option; write $$ for a literal $"
        ) from error


def _plain(reason: str) -> str:
    """Return the library's reason without Python's words for a value that is no number."""
    for words, needed in _PYTHONS_WORDS.items():
        if reason.startswith(words):
            return f"{reason.removeprefix(words)} is not {needed}"
    return reason
