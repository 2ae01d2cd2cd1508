"""Cleans text from other sources (a host, a tool, a file name) so that it can be stored, sent and shown."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

REASON_LENGTH = 1000
"""Characters of a reason that are kept: the beginning of an error is its most important part."""

JOB_REASON_LENGTH = 255
"""The same for the reason of a job, which lists show in one line."""

_NAMED = 5
"""How many of a long list of names a message shows."""

_QUOTED = 200
"""How many characters of a value a message quotes: more than any id, name or address that is meant has."""

_DIGITS = 12
"""How many digits of a digest a sentence shows."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def plain_line(text: str, length: int = REASON_LENGTH) -> str:
    """Return the text as one line of at most `length` characters, for databases, messages and terminals.

    Control characters become spaces. Characters that UTF-8 cannot encode, such as undecodable bytes of a file name, are
    escaped (`\\udcff`).
    """
    if text.isascii() and text.isprintable():  # nearly always
        return text[:length]
    line = _CONTROL.sub(" ", text[:length])
    return line.encode("utf-8", "backslashreplace").decode("utf-8")[:length]


def shortened(text: str, most: int = _QUOTED) -> str:
    """Return the text, or of a longer one its first `most` characters and how many it has."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"


def quoted(value: object) -> str:
    """Return a value for a message, shortened: text in quotation marks, all else as JSON."""
    if not isinstance(value, str):
        return shortened(json.dumps(value, default=str))
    return repr(value) if len(value) <= _QUOTED else f"{value[:_QUOTED]!r}... ({len(value)} characters)"


def short_digest(text: str) -> str:
    """Return a digest for a sentence: the algorithm, and enough digits to compare it with others."""
    algorithm, _, digits = text.partition(":")
    return text if len(digits) <= _DIGITS else f"{algorithm}:{digits[:_DIGITS]}..."


def number_of(number: int, noun: str) -> str:
    """Return `1 job`, or `2 jobs`."""
    return f"1 {noun}" if number == 1 else f"{number} {noun}s"


def first_names(names: Sequence[str], most: int = _NAMED) -> str:
    """Return the first `most` names, and the number of the others."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
