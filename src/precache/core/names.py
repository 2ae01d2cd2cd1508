"""The one rule for the name of a host, and for that of a cell. Every edge asks here: options, messages, requests."""

from __future__ import annotations

import re

NAME_RULE = "1 to 255 letters, digits, '.', '_' and '-', not '.' or '..' alone"

_NAME = re.compile(r"[a-zA-Z0-9._-]{1,255}")
_DIRECTORIES = frozenset({".", ".."})  # a host's name is also that of its directory in the embedded service


def is_name(text: str) -> bool:
    """Return whether this can name a host or a cell: by NAME_RULE, which is what Nova lets into an aggregate."""
    return _NAME.fullmatch(text) is not None and text not in _DIRECTORIES
