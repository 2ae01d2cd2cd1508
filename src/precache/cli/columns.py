"""Values with two forms: one for tables, and the plain one for json, yaml, csv and value."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from cliff.columns import FormattableColumn

from precache.cli.printable import on_one_line
from precache.core.sizes import human_bytes
from precache.core.text import first_names

_CELL_COLUMNS = 40  # a wider list would leave no space for the other columns; an id has 36
_MINUTE_S = 60
_FRACTION = re.compile(r"\.\d+")


def human_seconds(seconds: float) -> str:
    """Return a duration as `90 s`, `3 min` or `5 h`; at least a second."""
    whole = max(1, round(seconds))
    if whole < 2 * _MINUTE_S:
        return f"{whole} s"
    minutes = round(whole / _MINUTE_S)
    return f"{minutes} min" if minutes < 2 * _MINUTE_S else f"{round(minutes / _MINUTE_S)} h"


class Bytes(FormattableColumn[int | None]):
    """A number of bytes."""

    def human_readable(self) -> str:
        return human_bytes(self._value)


class Rate(FormattableColumn[int | None]):
    """Bytes per second; empty if unknown."""

    def human_readable(self) -> str:
        return "" if self._value is None else f"{human_bytes(self._value)}/s"


class TimeLeft(FormattableColumn[int | None]):
    """An estimated number of seconds; empty if unknown."""

    def human_readable(self) -> str:
        return "" if self._value is None else f"about {human_seconds(self._value)}"


class Text(FormattableColumn[str | None]):
    """Text from other systems: on one line and without control characters in a table, else unchanged."""

    def human_readable(self) -> str:
        return "" if self._value is None else on_one_line(str(self._value))


class Timestamp(FormattableColumn[str | None]):
    """A time in the service's format; in a table whole seconds, with a space where a line may end."""

    def human_readable(self) -> str:
        return _FRACTION.sub("", on_one_line(str(self._value))).replace("T", " ", 1) if self._value else ""


class Names(FormattableColumn[Sequence[str]]):
    """A list of names; of a long list a table shows only the number."""

    def human_readable(self) -> str:
        names = ", ".join(on_one_line(str(name)) for name in self._value)
        if len(self._value) > 1 and len(names) > _CELL_COLUMNS:
            return f"{len(self._value)} of them"
        return names


class ImageNames(FormattableColumn[Sequence[str]]):
    """Images by their ids; in a table by their names, if known."""

    def __init__(self, ids: Sequence[str], names: Mapping[str, str]) -> None:
        super().__init__(ids)
        self._names = names

    def human_readable(self) -> str:
        return Names([self._names.get(image) or image for image in self._value]).human_readable()


class AllImages(ImageNames):
    """Images by their ids; in a table one per line, with the name in front of the id."""

    def human_readable(self) -> str:
        known = {image: on_one_line(self._names.get(image) or "") for image in self._value}
        return "\n".join(f"{name} ({image})" if name else image for image, name in known.items())


class AllNames(Names):
    """A list of names; a table shows all of them, one per line."""

    def human_readable(self) -> str:
        return "\n".join(on_one_line(str(name)) for name in self._value)


class Counts(FormattableColumn[Mapping[str, int]]):
    """Counts by name: `4 cached, 1 error`; zeros are omitted."""

    def human_readable(self) -> str:
        return ", ".join(f"{number} {what}" for what, number in self._value.items() if number)


class Sources(FormattableColumn[Mapping[str, int] | None]):
    """From where bytes came: `1.2 GiB from the image service, 37.0 GiB from hosts`; zeros are omitted."""

    def human_readable(self) -> str:
        words = {"image_service": "the image service", "hosts": "hosts", "cache": "older images"}
        found = self._value or {}
        return ", ".join(f"{human_bytes(found[name])} from {word}" for name, word in words.items() if found.get(name))


class ByImage(FormattableColumn[Sequence[Mapping[str, Any]]]):
    """The progress of each image of a job; in a table one line for each."""

    def __init__(self, parts: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> None:
        super().__init__(parts)
        self._names = names

    def human_readable(self) -> str:
        return "\n".join(map(self._line, self._value))

    def _line(self, part: Mapping[str, Any]) -> str:
        name = on_one_line(self._names.get(str(part.get("image"))) or str(part.get("image")))
        tasks = Counts({**(part.get("task_states") or {}), "ended": 0} | (part.get("counts") or {})).human_readable()
        total = part.get("bytes_total")
        moved = f"{human_bytes(part.get('bytes_done'))}{'' if total is None else f' of {human_bytes(total)}'}"
        rate = Rate(part.get("rate_bytes_per_s")).human_readable()
        left = part.get("eta_s")
        return ", ".join(
            filter(None, (f"{name}: {tasks}", moved, rate, "" if left is None else f"about {human_seconds(left)} left"))
        )


class Properties(FormattableColumn[Mapping[str, Any]]):
    """Keys and values: `rack=7, zone=a`."""

    def human_readable(self) -> str:
        return ", ".join(f"{on_one_line(str(key))}={on_one_line(str(value))}" for key, value in self._value.items())


class WindowColumn(FormattableColumn[Mapping[str, Any] | None]):
    """The hours in which a job runs; in a table in the form of the option --window."""

    def human_readable(self) -> str:
        if not self._value:
            return ""
        days = self._value.get("days") or []
        hours = f"{self._value.get('from')}-{self._value.get('to')} {self._value.get('time_zone')}"
        return on_one_line(hours if len(days) == 7 else f"{','.join(map(str, days))} {hours}")


class TargetColumn(FormattableColumn[Mapping[str, Sequence[str]]]):
    """What a job is for; in a table one line for each kind, with the first of its names."""

    def human_readable(self) -> str:
        parts = {
            kind.replace("_", " "): [on_one_line(str(name)) for name in names] for kind, names in self._value.items()
        }
        return "\n".join(f"{kind}: {first_names(names)}" for kind, names in parts.items() if names)


class Field(NamedTuple):
    """The column for one field of the service's objects.

    column: converts the field's value to the cell's value.
    left_out: the rank among the columns that a too wide list leaves out, lowest first; None to keep it always.
    """

    column: Callable[[Any], Any]
    left_out: int | None = None


Fields = Mapping[str, Field]


def plain(value: Any) -> Any:
    """Return the value unchanged, for a column with the same form in a table."""
    return value


def cells(fields: Fields, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the cells of one object by the names of their columns."""
    return {name: field.column(document.get(name)) for name, field in fields.items()}


def least_needed_first(fields: Fields) -> tuple[str, ...]:
    """Return the columns that a list may leave out, in the order in which it does."""
    ranks = {name: field.left_out for name, field in fields.items() if field.left_out is not None}
    return tuple(sorted(ranks, key=ranks.__getitem__))
