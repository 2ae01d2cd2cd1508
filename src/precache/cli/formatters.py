"""cliff's formatters, loaded by name. cliff itself would first read the metadata of every installed package.

Ours where cliff's falls short: `-f csv` for a single object, JSON instead of Python's notation within a csv
field, and nothing at all instead of `None` in a table.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, TextIO, TypeVar

from cliff.columns import FormattableColumn
from cliff.formatters.base import SingleFormatter
from cliff.formatters.commaseparated import CSVLister
from cliff.formatters.table import TableFormatter

FormatterT = TypeVar("FormatterT")

FOR_LISTS = {
    "csv": "precache.cli.formatters:CsvOfMany",
    "json": "cliff.formatters.json_format:JSONFormatter",
    "table": "precache.cli.formatters:Table",
    "value": "cliff.formatters.value:ValueFormatter",
    "yaml": "cliff.formatters.yaml_format:YAMLFormatter",
}
FOR_ONE = {
    "csv": "precache.cli.formatters:CsvOfOne",
    "json": "cliff.formatters.json_format:JSONFormatter",
    "shell": "cliff.formatters.shell:ShellFormatter",
    "table": "precache.cli.formatters:Table",
    "value": "cliff.formatters.value:ValueFormatter",
    "yaml": "cliff.formatters.yaml_format:YAMLFormatter",
}


class Loaded(Generic[FormatterT]):
    """One formatter, in the place of a stevedore extension."""

    def __init__(self, target: str) -> None:
        module, _, name = target.partition(":")
        self.obj: FormatterT = getattr(importlib.import_module(module), name)()


class FormatterTable(Generic[FormatterT]):
    """The formatters of one kind, in the place of a stevedore manager."""

    def __init__(self, targets: Mapping[str, str]) -> None:
        self._loaded: dict[str, Loaded[FormatterT]] = {name: Loaded(target) for name, target in targets.items()}

    def names(self) -> list[str]:
        return list(self._loaded)

    def __iter__(self) -> Iterator[Loaded[FormatterT]]:
        return iter(self._loaded.values())

    def __getitem__(self, name: str) -> Loaded[FormatterT]:
        return self._loaded[name]


class Table(TableFormatter):
    """cliff's table, in which an unknown value is an empty cell."""

    def emit_list(
        self,
        column_names: Sequence[str],
        data: Iterable[Sequence[Any]],
        stdout: TextIO,
        parsed_args: argparse.Namespace,
    ) -> None:
        rows = [["" if value is None else value for value in row] for row in data]
        super().emit_list(column_names, rows, stdout, parsed_args)

    def emit_one(
        self, column_names: Sequence[str], data: Sequence[Any], stdout: TextIO, parsed_args: argparse.Namespace
    ) -> None:
        super().emit_one(column_names, ["" if value is None else value for value in data], stdout, parsed_args)


class CsvOfMany(CSVLister):
    """cliff's csv; lists and objects are written as JSON within their field."""

    def emit_list(
        self,
        column_names: Sequence[str],
        data: Iterable[Sequence[Any]],
        stdout: TextIO,
        parsed_args: argparse.Namespace,
    ) -> None:
        rows = [[_field(value) for value in row] for row in data]
        super().emit_list(column_names, rows, stdout, parsed_args)


class CsvOfOne(SingleFormatter):
    """A line of names and a line of values; lists and objects are written as JSON within their field."""

    def add_argument_group(self, parser: argparse.ArgumentParser) -> None:
        """There is nothing to choose."""

    def emit_one(
        self, column_names: Sequence[str], data: Sequence[Any], stdout: TextIO, parsed_args: argparse.Namespace
    ) -> None:
        writer = csv.writer(stdout, lineterminator="\n")
        writer.writerow(column_names)
        writer.writerow([_field(value) for value in data])


def _field(value: Any) -> Any:
    plain = value.machine_readable() if isinstance(value, FormattableColumn) else value
    return json.dumps(plain) if isinstance(plain, list | tuple | dict) else plain
