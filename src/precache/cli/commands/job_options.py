"""The options of a job on the command line, and their form in a request.

What a value may be is checked by `core/job_options.py`, before anything is sent.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from precache.cli.client import JsonObject
from precache.core.errors import InvalidOption
from precache.core.job_options import JobOptions


class _Option(NamedTuple):
    """An option of a command for a field of the request.

    read: converts the text to the field's value. Raises ArgumentTypeError, ValueError.
    """

    field: str
    flag: str
    metavar: str
    read: Callable[[str], Any]
    help: str


_ACCEPTED = (
    _Option(
        "priority", "--priority", "N", int, "from 0 to 100: hosts work for jobs with a higher one first (default 50)"
    ),
)


def add_job_options(parser: argparse.ArgumentParser) -> None:
    """Add the options with which a job is made."""
    for option in _ACCEPTED:
        parser.add_argument(
            option.flag, dest=option.field, metavar=option.metavar, type=_reader(option), help=option.help
        )


def job_options(parsed_args: argparse.Namespace) -> JsonObject:
    """Return the fields of the request for the options that were given."""
    chosen: Mapping[str, Any] = vars(parsed_args)
    return {option.field: value for option in _ACCEPTED if (value := chosen[option.field]) is not None}


def _reader(option: _Option) -> Callable[[str], Any]:
    """Return what reads the option's text, for argparse."""

    def read(text: str) -> Any:
        try:
            value = option.read(text)
        except ValueError:
            value = text  # which the check refuses
        try:
            JobOptions.read({option.field: value})
        except InvalidOption as error:
            raise argparse.ArgumentTypeError(str(error)) from error
        return value

    return read
