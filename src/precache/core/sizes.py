"""Sizes in bytes as people write and read them, and amounts of a disk: bytes or a share."""

from __future__ import annotations

import re
from dataclasses import dataclass

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")
_BYTES_OF = {"": 1, "B": 1} | {unit: 1024 ** (power + 1) for power, unit in enumerate(_UNITS)}
_SIZE = re.compile(r"(\d{1,20}(?:\.\d{1,9})?) ?([A-Za-z]*)", re.ASCII)
_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,9})?) ?%", re.ASCII)

_WHOLE = 100
_MOST_BYTES = 1 << 60


def human_bytes(size_bytes: int | None) -> str:
    """Return a size with three or four digits: `0 B`, `999 B`, `1.2 GiB`; empty for an unknown one."""
    if size_bytes is None:
        return ""
    if size_bytes < 1024:
        return f"{size_bytes} B"
    size = float(size_bytes)
    for unit in _UNITS:
        size /= 1024
        # 1023.95 would be printed as 1024.0
        if size < 1023.95 or unit == _UNITS[-1]:
            return f"{size:.1f} {unit}"
    raise AssertionError


@dataclass(frozen=True, slots=True)
class DiskAmount:
    """A part of a file system: so many bytes, or a share of its size in percent. One of both is 0."""

    size_bytes: int = 0
    percent: float = 0

    @classmethod
    def parse(cls, text: str) -> DiskAmount:
        """Read `5%`, `20GiB` or a number of bytes. Raises ValueError with what is expected, as in `must be ...`."""
        if match := _SHARE.fullmatch(text.strip()):
            percent = float(match[1])
            if percent <= _WHOLE:
                return cls(percent=percent)
        elif match := _SIZE.fullmatch(text.strip()):
            unit_bytes = _BYTES_OF.get(match[2])
            if unit_bytes is not None and (size_bytes := int(float(match[1]) * unit_bytes)) <= _MOST_BYTES:
                return cls(size_bytes)
        raise ValueError("a share of the file system such as 5%, a size such as 20GiB, or 0")

    def of(self, total_bytes: int) -> int:
        """Return the bytes of this amount in a file system of that size."""
        return self.size_bytes or int(total_bytes * self.percent / _WHOLE)

    def __str__(self) -> str:
        return f"{self.percent:g}%" if self.percent else human_bytes(self.size_bytes)


NOTHING = DiskAmount()
