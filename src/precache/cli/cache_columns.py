"""What a host reports of its cache, as a command shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cliff.columns import FormattableColumn

from precache.cli.columns import Bytes, Counts, Field, Fields, Text, Timestamp, human_seconds, plain
from precache.cli.printable import on_one_line
from precache.core.sizes import human_bytes
from precache.core.text import number_of

_MOST_LINES = 10  # in one cell of a table; -f json has all


class NameOrId(FormattableColumn[Mapping[str, Any]]):
    """The name of an entry's image; in a table the id or the entry if the name is not known."""

    def human_readable(self) -> str:
        return on_one_line(str(self._value.get("name") or self._value.get("image") or self._value.get("entry")))

    def machine_readable(self) -> Any:
        return self._value.get("name")


class Age(FormattableColumn[float | None]):
    """How old a report is, in seconds; empty if there is none."""

    def human_readable(self) -> str:
        return "" if self._value is None else human_seconds(self._value)


class Pins(FormattableColumn[Sequence[Mapping[str, Any]]]):
    """The pins of an entry; in a table until when the last of them counts."""

    def human_readable(self) -> str:
        if not self._value:
            return ""
        ends = [pin.get("until") for pin in self._value]
        last = "unpinned" if None in ends else Timestamp(max(map(str, ends))).human_readable()
        return f"until {last}" + (f" ({number_of(len(ends), 'pin')})" if len(ends) > 1 else "")


class Space(FormattableColumn[Mapping[str, int] | None]):
    """The space of a cache; in a table as a sentence."""

    def human_readable(self) -> str:
        if not self._value:
            return ""
        size = {name: human_bytes(value) for name, value in self._value.items()}
        parts = [f"{size.get('free_bytes')} of {size.get('total_bytes')} free"]
        parts += [
            f"{size[name]} {meaning}"
            for name, meaning in (("promised_bytes", "promised to images"), ("reserve_bytes", "reserved for guests"))
            if self._value.get(name)
        ]
        return ", ".join(parts)


class EntryNumbers(FormattableColumn[Mapping[str, int] | None]):
    """Numbers of entries; in a table those that are not zero, and their size."""

    def human_readable(self) -> str:
        if not self._value:
            return ""
        numbers = dict(self._value)
        size = human_bytes(numbers.pop("bytes", None))
        return ", ".join(filter(None, (Counts(numbers).human_readable() or "none", size if numbers["present"] else "")))


class Lines(FormattableColumn[Sequence[Mapping[str, Any]]]):
    """Alarms or removals of a cache; in a table the newest of them, one on each line."""

    def human_readable(self) -> str:
        newest_first = sorted(self._value, key=_time_of, reverse=True)
        lines = [self._line(item) for item in newest_first[:_MOST_LINES]]
        more = len(newest_first) - len(lines)
        return "\n".join(lines + ([f"and {more} more"] if more else []))

    def _line(self, item: Mapping[str, Any]) -> str:
        image = on_one_line(str(item.get("name") or item.get("image") or item.get("entry") or "the cache"))
        time = Timestamp(_time_of(item)).human_readable()
        if "text" in item:
            return f"{time} {item.get('kind')}: {image}: {on_one_line(str(item['text']))}"
        return f"{time} {image}: {on_one_line(str(item.get('reason')))}, {human_bytes(item.get('bytes_freed'))} freed"


def _time_of(item: Mapping[str, Any]) -> str:
    return str(item.get("since") or item.get("at") or "")


ENTRY_FIELDS: Fields = {
    "state": Field(plain, left_out=13),
    "size_bytes": Field(Bytes, left_out=5),
    "allocated_bytes": Field(Bytes),
    "format": Field(Text, left_out=4),
    "verification": Field(plain, left_out=10),
    "pins": Field(Pins),
    "disks": Field(plain, left_out=11),
    "cached_at": Field(Timestamp, left_out=6),
    "last_used": Field(Timestamp, left_out=9),
    "verified_at": Field(Timestamp, left_out=3),
    "requested_by": Field(Text, left_out=2),
    "source": Field(Text, left_out=2),
    "digest": Field(Text, left_out=0),
    "source_digest": Field(Text, left_out=0),
}
"""What is known of an image on one host."""

CACHE_FIELDS: Fields = {
    "reported_at": Field(Timestamp),
    "report_age_s": Field(Age),
    "owner": Field(Text),
    "policy": Field(Text),
    "cache_id": Field(Text),
    "unsupported": Field(Text),
    "space": Field(Space),
    "entries": Field(EntryNumbers),
    "alarms": Field(Lines),
    "removals": Field(Lines),
}
"""A cache without the images in it."""
