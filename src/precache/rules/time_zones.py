"""Which names of time zones a request may use: those of the IANA database, as this machine has it."""

from __future__ import annotations

from difflib import get_close_matches
from zoneinfo import ZoneInfo, available_timezones

from precache.core.errors import InvalidOption

_NOT_IN_THE_DATABASE = frozenset({"localtime", "posixrules", "Factory"})
"""Files that some systems have beside the zones. The time zone of this machine is not that of the others."""

_OTHER_FORMS = ("posix/", "right/")
"""Folders of the same zones; those of the second count leap seconds."""


def check_time_zone(option: str, name: str) -> None:
    """Raise InvalidOption, with a similar name if there is one, unless there is such a time zone."""
    if name in _NOT_IN_THE_DATABASE or name.startswith(_OTHER_FORMS) or not _can_be_read(name):
        near = get_close_matches(name, available_timezones() - _NOT_IN_THE_DATABASE, n=1)
        raise InvalidOption(option, name, f"the name of a time zone, such as {near[0] if near else 'Europe/Paris'}")


def _can_be_read(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (LookupError, OSError, ValueError):  # no such file; a folder; no name of a file
        return False
    return True
