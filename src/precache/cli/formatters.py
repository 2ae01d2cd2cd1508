"""The formatters of results that replace cliff's; pyproject.toml names them all.

In contrast to cliff's: tables fit the terminal; `-f csv` also works for a single object; lists and objects are JSON
instead of Python's notation; `None` is empty; `-f value` has one line per row; and `-f shell` quotes correctly.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from cliff.columns import FormattableColumn
from cliff.formatters.base import ListFormatter, SingleFormatter
from cliff.formatters.commaseparated import CSVLister
from cliff.formatters.table import TableFormatter

from precache.cli.errors import UsageError
from precache.cli.table_width import as_records, drop_columns, fit_rows, table_width, wrapped

Args = argparse.Namespace
Row = Sequence[Any]


class Table(TableFormatter):
    """cliff's table, but an unknown value is an empty cell, and the table fits the terminal without breaking words.

    least_needed: columns that a list may leave out, in this order, unless -c chose the columns.
    """

    least_needed: Sequence[str] = ()

    def add_argument_group(self, parser: argparse.ArgumentParser) -> None:
        # cliff converts these to numbers for its defaults.
        for name in ("CLIFF_MAX_TERM_WIDTH", "CLIFF_FIT_WIDTH"):
            text = os.environ.get(name, "0")
            if not re.fullmatch(r"[0-9]{1,9}", text):
                raise UsageError(
                    f"The environment variable {name} is {text!r}, not a whole number", "correct or unset it"
                )
        super().add_argument_group(parser)

    def emit_list(self, column_names: Sequence[str], data: Iterable[Row], stdout: TextIO, parsed_args: Args) -> None:
        names, rows = list(column_names), [[_cell(value) for value in row] for row in data]
        if not rows:
            return
        width = table_width(parsed_args)
        left_out = [] if parsed_args.columns else drop_columns(names, rows, self.least_needed, width)
        unfit = fit_rows(names, rows, width)
        if unfit:
            stdout.write(as_records(names, rows, width))
        else:
            super().emit_list(names, rows, stdout, _without_limit(parsed_args))
        if left_out:
            note = f"Columns left out because the table is too wide: {', '.join(left_out)}; choose columns with -c"
            stdout.write(wrapped(note, width or len(note)) + "\n")

    def emit_one(self, column_names: Sequence[str], data: Row, stdout: TextIO, parsed_args: Args) -> None:
        rows = [[name, _cell(value)] for name, value in zip(column_names, data, strict=True)]
        width = table_width(parsed_args)
        unfit = fit_rows(["Field", "Value"], rows, width)
        cells = [value for _, value in rows]
        if unfit:
            stdout.write(as_records(column_names, [cells], width))
        else:
            super().emit_one(column_names, cells, stdout, _without_limit(parsed_args))


class CsvOfMany(CSVLister):
    """cliff's csv; lists and objects are JSON within their field."""

    def emit_list(self, column_names: Sequence[str], data: Iterable[Row], stdout: TextIO, parsed_args: Args) -> None:
        rows = [[_field(value) for value in row] for row in data]
        super().emit_list(column_names, rows, stdout, parsed_args)


class CsvOfOne(SingleFormatter):
    """A line of names and a line of values; lists and objects are JSON within their field."""

    def add_argument_group(self, parser: argparse.ArgumentParser) -> None:
        """There is nothing to choose."""

    def emit_one(self, column_names: Sequence[str], data: Row, stdout: TextIO, parsed_args: Args) -> None:
        writer = csv.writer(stdout, lineterminator="\n")
        writer.writerow(column_names)
        writer.writerow([_field(value) for value in data])


class Values(ListFormatter, SingleFormatter):
    """Values alone: a row is one line with tabs between its fields; of a single object, each value is one line."""

    def add_argument_group(self, parser: argparse.ArgumentParser) -> None:
        """There is nothing to choose."""

    def emit_list(self, column_names: Sequence[str], data: Iterable[Row], stdout: TextIO, parsed_args: Args) -> None:
        for row in data:
            stdout.write("\t".join(_on_one_line(value) for value in row) + "\n")

    def emit_one(self, column_names: Sequence[str], data: Row, stdout: TextIO, parsed_args: Args) -> None:
        stdout.writelines(f"{_on_one_line(value)}\n" for value in data)


class Shell(SingleFormatter):
    """Assignments that a POSIX shell reads back exactly, for every value: `eval "$(... -f shell)"`."""

    def add_argument_group(self, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("shell formatter", "assignments for a POSIX shell: name='value'")
        group.add_argument("--prefix", default="", type=_shell_prefix, help="put this in front of all variable names")

    def emit_one(self, column_names: Sequence[str], data: Row, stdout: TextIO, parsed_args: Args) -> None:
        for name, value in zip(column_names, data, strict=True):
            variable = re.sub(r"\W", "_", f"{parsed_args.prefix}{name.lower()}", flags=re.ASCII)
            stdout.write(f"{variable}={shlex.quote(_plain_text(value))}\n")


def _shell_prefix(text: str) -> str:
    if text and not re.fullmatch(r"[A-Za-z_]\w*", text, flags=re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} cannot begin the name of a variable")
    return text


def _plain_text(value: Any) -> str:
    found = _field(value)
    return "" if found is None else str(found)


def _on_one_line(value: Any) -> str:
    """Return the value with backslash, tab and line ends written as `\\\\`, `\\t`, `\\n` and `\\r`."""
    return _plain_text(value).translate(_ESCAPES)


_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def _cell(value: Any) -> Any:
    """Return the content of a table's cell: text, or a number, which is aligned to the right."""
    shown = value.human_readable() if isinstance(value, FormattableColumn) else value
    return "" if shown is None else shown


def _without_limit(parsed_args: Args) -> Args:
    """Return the same arguments without a limit of the width, because cliff breaks words to keep it."""
    return Args(**{**vars(parsed_args), "max_width": _BEYOND_EVERY_TERMINAL})


_BEYOND_EVERY_TERMINAL = 1_000_000


def _field(value: Any) -> Any:
    plain = value.machine_readable() if isinstance(value, FormattableColumn) else value
    return json.dumps(plain) if isinstance(plain, list | tuple | dict) else plain
