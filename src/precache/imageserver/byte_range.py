"""The `Range` header of a request for data. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ONE_RANGE = re.compile(r"\s*bytes\s*=\s*(\d{0,20})\s*-\s*(\d{0,20})\s*", re.ASCII | re.IGNORECASE)


class Unsatisfiable(ValueError):
    """The range begins beyond the end of the data, or is empty."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes `first` to `last`, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1

    def content_range(self, size_bytes: int) -> str:
        return f"bytes {self.first}-{self.last}/{size_bytes}"


def requested_range(header: str | None, size_bytes: int) -> ByteRange | None:
    """Return the range in the header, limited to the data; None for all of the data.

    Headers that are no range of bytes, and those with several ranges, are ignored, as RFC 9110 allows.
    Raises Unsatisfiable.
    """
    match = _ONE_RANGE.fullmatch(header or "")
    if match is None or match.group(1) == match.group(2) == "":
        return None
    if match.group(1) == "":
        first, last = max(0, size_bytes - int(match.group(2))), size_bytes - 1
    else:
        first = int(match.group(1))
        asked_last = int(match.group(2)) if match.group(2) else size_bytes - 1
        if match.group(2) and asked_last < first:
            return None
        last = min(asked_last, size_bytes - 1)
    if first >= size_bytes:
        raise Unsatisfiable(header)
    return ByteRange(first, last)
