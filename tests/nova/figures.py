"""What was measured, and how it is shown: a table for people, and one line of JSON for programs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

Value = float | int | str


@dataclass
class Figures:
    """Figures in the order in which they came."""

    _rows: list[tuple[str, str, Value]] = field(default_factory=list)

    def note(self, key: str, words: str, value: Value) -> None:
        """Keep one figure, to two decimals. key: its name in JSON. words: what it is, with its unit."""
        self._rows.append((key, words, round(value, 2) if isinstance(value, float) else value))

    def table(self) -> list[str]:
        """Return the lines of the table."""
        width = max((len(words) for _, words, _ in self._rows), default=0)
        return [f"{words:<{width}}  {_shown(value):>10}" for _, words, value in self._rows]

    def as_json(self) -> str:
        return json.dumps({key: value for key, _, value in self._rows})

    def __bool__(self) -> bool:
        return bool(self._rows)


def _shown(value: Value) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
