"""How deep a JSON document may go. Nothing that we read needs more than a few levels.

Python reads some hundred levels more than it can write out again or quote in a message, so that a document which was
read without complaint fails later, wherever somebody looks at it.
"""

from __future__ import annotations

from typing import Any

DEEPEST = 50


def is_too_deep(document: Any) -> bool:
    """Return whether the document, as read from JSON, has more than DEEPEST levels of lists and objects."""
    level = [document]
    for _ in range(DEEPEST + 1):
        level = [child for each in level for child in _children(each)]
        if not level:
            return False
    return True


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
