"""Makes text from other systems safe for a terminal.

Names and reasons come from image records, hosts and tools. A control character in them could move the cursor or rename
the user's window.
"""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """Return the text with control characters escaped (`\\x1b`), except line feeds and tabs."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def on_one_line(text: str) -> str:
    """Return the text on one line, for a list."""
    return printable(" ".join(text.split()))
