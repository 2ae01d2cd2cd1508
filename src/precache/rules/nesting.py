"""How deeply a JSON document may be nested. Valid documents need only a few levels.

Python can read some hundred levels more than it can write or print. A document that was read without an error could
therefore fail later, wherever it is used.
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
