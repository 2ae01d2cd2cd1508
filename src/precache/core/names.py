"""The rule for names of hosts and cells. All inputs are checked with it: options, messages, requests."""

from __future__ import annotations

import re

NAME_RULE = "1 to 255 letters, digits, '.', '_' and '-', not '.' or '..' alone"

_NAME = re.compile(r"[a-zA-Z0-9._-]{1,255}")
_DIRECTORIES = frozenset({".", ".."})  # a host's name is also that of its directory in the embedded service


def is_name(text: str) -> bool:
    """Return whether this can name a host or a cell: by NAME_RULE, as Nova allows it in an aggregate."""
    return _NAME.fullmatch(text) is not None and text not in _DIRECTORIES
