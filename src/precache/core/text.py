"""Text that comes from elsewhere - a host, a tool, the name of a file - made fit to be stored, sent and shown."""

from __future__ import annotations

import re

REASON_LENGTH = 1000
"""Characters of a reason that are kept; what matters of an error is at its beginning."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def plain_line(text: str, length: int = REASON_LENGTH) -> str:
    """Return the text as one line of at most `length` characters, that every database, message and terminal takes.

    Control characters become spaces. What has no place in UTF-8, such as undecodable bytes of a file's name, is written
    out (`\\udcff`). What is plain stays as it is.
    """
    line = _CONTROL.sub(" ", text[:length])
    return line.encode("utf-8", "backslashreplace").decode("utf-8")[:length]
