"""Cleans text from other sources (a host, a tool, a file name) so that it can be stored, sent and shown."""

from __future__ import annotations

import re
from collections.abc import Sequence

REASON_LENGTH = 1000
"""Characters of a reason that are kept: the beginning of an error is its most important part."""

_NAMED = 5
"""How many of a long list of names a message shows."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def plain_line(text: str, length: int = REASON_LENGTH) -> str:
    """Return the text as one line of at most `length` characters, for databases, messages and terminals.

    Control characters become spaces. Characters that UTF-8 cannot encode, such as undecodable bytes of a file name, are
    escaped (`\\udcff`).
    """
    line = _CONTROL.sub(" ", text[:length])
    return line.encode("utf-8", "backslashreplace").decode("utf-8")[:length]


def first_names(names: Sequence[str], most: int = _NAMED) -> str:
    """Return the first `most` names, and the number of the others."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
