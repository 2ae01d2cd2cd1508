"""Formats findings for a terminal: a line or two each, the advice below, a count at the end."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from cliff.columns import FormattableColumn
from cliff.formatters.base import ListFormatter

from precache.cli.formatters import Args, Row
from precache.doctor.findings import Status

WIDTH = 80
"""Longer lines are hard to read, also on a wider terminal."""


class Report(ListFormatter):
    """Expects the columns status, check, found and advice by these names; others are left out."""

    def add_argument_group(self, parser: argparse.ArgumentParser) -> None:
        """Add no option."""

    def emit_list(self, column_names: Sequence[str], data: Iterable[Row], stdout: TextIO, parsed_args: Args) -> None:  # noqa: ARG002  cliff decides the signature
        rows = [dict(zip(column_names, map(_text, row), strict=True)) for row in data]
        width = min(WIDTH, shutil.get_terminal_size().columns)
        status_width = max((len(row.get("status", "")) for row in rows), default=0)
        for row in rows:
            stdout.write("\n".join(_lines(row, status_width, max(width, 40))) + "\n")
        stdout.write(f"{_count([row['status'] for row in rows if 'status' in row])}\n")


def _lines(row: dict[str, str], status_width: int, width: int) -> list[str]:
    status = row.get("status", "").ljust(status_width)
    indent = " " * (status_width + 2)
    told = ": ".join(row[name] for name in ("check", "found") if row.get(name))
    lines = textwrap.wrap(told, width, initial_indent=f"{status}  ", subsequent_indent=indent) or [status.rstrip()]
    if row.get("advice"):
        lines += textwrap.wrap(row["advice"], width, initial_indent=f"{indent}-> ", subsequent_indent=f"{indent}   ")
    return lines


def _count(statuses: Sequence[str]) -> str:
    counts = ", ".join(f"{statuses.count(each)} {each}" for each in Status if each in statuses)
    return f"{len(statuses)} checks: {counts}"


def _text(value: Any) -> str:
    return value.human_readable() if isinstance(value, FormattableColumn) else str(value)
