"""How busy the processors were: a figure of a busy machine says little about the network."""

from __future__ import annotations

from pathlib import Path


class IdleMeter:
    """Measures the idle share of all processors from now on."""

    def __init__(self) -> None:
        self._idle, self._all = _ticks()

    def share(self) -> float:
        """Return the idle share since the start, from 0 to 1."""
        idle, total = _ticks()
        return (idle - self._idle) / max(1, total - self._all)


def _ticks() -> tuple[int, int]:
    numbers = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return numbers[3] + numbers[4], sum(numbers)
