"""What the name of a host, and that of a cell, may be made of."""

from __future__ import annotations

import re

NAME_RULE = "1 to 255 letters, digits, '.', '_' and '-'"

_NAME = re.compile(r"[a-zA-Z0-9._-]{1,255}")


def is_name(text: str) -> bool:
    """Say whether this can name a host or a cell: by NAME_RULE, which is what Nova lets into an aggregate."""
    return _NAME.fullmatch(text) is not None
