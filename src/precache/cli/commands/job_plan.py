"""The plan of a job as a command shows it: its fields, and a table of cells and sites."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from cliff.columns import FormattableColumn

from precache.cli.client import JsonObject
from precache.cli.columns import (
    Bytes,
    Counts,
    Field,
    Fields,
    Text,
    Timestamp,
    cells,
    least_needed_first,
    plain,
)
from precache.cli.formatters import Table
from precache.cli.printable import on_one_line
from precache.core.operations import Operation
from precache.core.sizes import human_bytes
from precache.core.text import number_of

_MOST_NAMED = 5  # hosts in one cell of a table; -f json has the first twenty


class PlannedImages(FormattableColumn[Sequence[Mapping[str, Any]]]):
    """The images; in a table a line for each, with how many hosts have it."""

    def human_readable(self) -> str:
        return "\n".join(map(_image_line, self._value))


def _image_line(image: Mapping[str, Any]) -> str:
    name = on_one_line(str(image.get("name") or image.get("image")))
    size = human_bytes(image.get("size_bytes")) or "size unknown"
    held, missing = number_of(image.get("held") or 0, "host"), number_of(image.get("missing") or 0, "host")
    return f"{name} ({size}): on {held}, missing on {missing}"


class EstimatedTime(FormattableColumn[Mapping[str, Any]]):
    """The estimate; in a table the time, and what it is from."""

    def human_readable(self) -> str:
        seconds = self._value.get("seconds")
        if seconds is None:
            return f"unknown: {on_one_line(str(self._value.get('reason')))}"
        if not seconds:
            return "nothing to download"
        downloads = number_of(self._value.get("measured_tasks") or 0, "download")
        jobs = number_of(self._value.get("measured_jobs") or 0, "earlier job")
        hosts = number_of(self._value.get("hosts_at_once") or 0, "host")
        return f"about {duration(seconds)}, by {downloads} of {jobs}; {hosts} at once"


class MeetsDeadline(FormattableColumn[bool | None]):
    """Whether the job ends before its deadline; null without a deadline or an estimate."""

    def human_readable(self) -> str:
        return {True: "can be met", False: "cannot be met"}.get(self._value, "") if self._value is not None else ""


class ChosenTransfers(FormattableColumn[Sequence[Mapping[str, Any]]]):
    """From where the hosts of each site would get the images, and why; in a table a line for each such choice."""

    def human_readable(self) -> str:
        sites: dict[tuple[str, str], list[str]] = {}
        for group in self._value:
            if group.get("transfer"):
                choice = group["transfer"], group.get("transfer_reason") or ""
                sites.setdefault(choice, []).append(str(group.get("site") or group.get("cell")))
        return "\n".join(_transfer_line(transfer, reason, names) for (transfer, reason), names in sites.items())


def _transfer_line(transfer: str, reason: str, sites: Sequence[str]) -> str:
    more = len(sites) - _MOST_NAMED
    named = ", ".join([*sites[:_MOST_NAMED], *([f"{more} more"] if more > 0 else [])])
    return on_one_line(f"{transfer} in {named}" + (f": {reason}" if reason else ""))


class NotedHosts(FormattableColumn[Mapping[str, Any]]):
    """Some hosts; in a table the first of them, with what is known of each, and the number of the others."""

    def human_readable(self) -> str:
        notes = self._value.get("hosts") or []
        lines = [_note_line(note) for note in notes[:_MOST_NAMED]]
        more = len(notes) - len(lines) + (self._value.get("more") or 0)
        has_details = any(":" in line for line in lines)
        return ("\n" if has_details else ", ").join(lines + ([f"and {more} more"] if more > 0 else []))


def _note_line(note: Mapping[str, Any]) -> str:
    host = on_one_line(str(note.get("host")))
    if "needed_bytes" in note:
        return f"{host}: {_space_line(note)}"
    reason = on_one_line(str(note.get("reason") or ""))
    return f"{host}: {reason}" if reason else host


def _space_line(note: Mapping[str, Any]) -> str:
    kinds = {"promised_bytes": "promised to other images", "reserve_bytes": "reserved for guests"}
    parts = [f"{human_bytes(note[kind])} {meaning}" for kind, meaning in kinds.items() if note.get(kind)]
    return ", ".join(
        [f"needs {human_bytes(note['needed_bytes'])}", f"{human_bytes(note.get('free_bytes'))} free", *parts]
    )


class Duration(FormattableColumn[float | None]):
    """A number of seconds."""

    def human_readable(self) -> str:
        return "unknown" if self._value is None else duration(self._value)


def duration(seconds: float) -> str:
    """Return a time with its two largest units: `45 s`, `12 min 30 s`, `3 h 5 min`, `2 d 4 h`."""
    left = max(0, round(seconds))
    for unit, part, length, part_length in (("d", "h", 86400, 3600), ("h", "min", 3600, 60), ("min", "s", 60, 1)):
        if left >= length:
            rest = left % length // part_length
            return f"{left // length} {unit}" + (f" {rest} {part}" if rest else "")
    return f"{left} s"


PLAN_FIELDS: Fields = {
    "operation": Field(plain),
    "host_count": Field(plain),
    "task_count": Field(plain),
    "hosts": Field(Counts),
    "images": Field(PlannedImages),
    "bytes_to_move": Field(Bytes),
    "image_service_bytes": Field(Bytes),
    "held_bytes": Field(Bytes),
    "estimate": Field(EstimatedTime),
    "begins_at": Field(Timestamp),
    "ends_at": Field(Timestamp),
    "meets_deadline": Field(MeetsDeadline),
    "lacking_space": Field(NotedHosts),
    "down": Field(NotedHosts),
    "unknown": Field(NotedHosts),
    "unsupported": Field(NotedHosts),
    "groups": Field(plain),
}
_TIMES = ("begins_at", "ends_at", "meets_deadline")
_NOTES = ("lacking_space", "down", "unknown", "unsupported")

_GROUP_FIELDS: Fields = {
    "cell": Field(Text),
    "site": Field(Text),
    "hosts": Field(plain),
    "ready": Field(plain),
    "incomplete": Field(plain),
    "down": Field(plain, left_out=3),
    "unknown": Field(plain, left_out=2),
    "unsupported": Field(plain, left_out=1),
    "lacking_space": Field(plain),
    "bytes_to_move": Field(Bytes),
    "transfer": Field(Text, left_out=0),
    "time": Field(Duration),
}
_RARE = ("down", "unknown", "unsupported", "lacking_space")


def plan_cells(plan: JsonObject) -> dict[str, Any]:
    """Return the cells of a plan by the names of their columns; the times of its estimate have their own."""
    estimate = plan.get("estimate") or {}
    times = {name: estimate.get(name) for name in _TIMES}
    notes = {name: plan.get(name) or {} for name in _NOTES}
    counts = {"hosts": plan.get("hosts") or {}, "images": plan.get("images") or [], "estimate": estimate}
    return cells(PLAN_FIELDS, plan | counts | times | notes)


def table_cells(values: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the cells that say something, for a table; the choices of its groups are among them."""
    is_caching = values.get("operation") in (None, Operation.CACHE)
    left_out = _OF_OTHER_OPERATIONS if is_caching else _OF_CACHING
    shown: dict[str, Any] = {}
    for name, value in values.items():
        if name == "estimate":
            shown["transfer"] = ChosenTransfers(groups)
        shown[name] = value
    return {
        name: value
        for name, value in shown.items()
        if name not in left_out and (not isinstance(value, _MAY_BE_EMPTY) or value.human_readable())
    }


_OF_CACHING = ("bytes_to_move", "image_service_bytes")
_OF_OTHER_OPERATIONS = ("operation", "held_bytes")
_MAY_BE_EMPTY = (NotedHosts, MeetsDeadline, Bytes, ChosenTransfers)


def write_groups(groups: Sequence[Mapping[str, Any]], stdout: TextIO, parsed_args: argparse.Namespace) -> None:
    """Write the table of cells and sites."""
    rows = []
    for group in groups:
        computed = {"hosts": group.get("host_count"), "time": group.get("seconds")}
        rows.append(list(cells(_GROUP_FIELDS, {**group, **(group.get("hosts") or {}), **computed}).values()))
    # Most plans have no hosts of these kinds.
    shown = [place for place, name in enumerate(_GROUP_FIELDS) if name not in _RARE or any(row[place] for row in rows)]
    names = list(_GROUP_FIELDS)
    table = Table()
    table.least_needed = least_needed_first(_GROUP_FIELDS)
    without_choice = argparse.Namespace(**{**vars(parsed_args), "columns": []})
    table.emit_list(
        [names[place] for place in shown], [[row[place] for place in shown] for row in rows], stdout, without_choice
    )
