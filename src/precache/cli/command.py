"""The base classes of all commands.

A command is a plain cliff command, so that another cliff program (the `openstack` client) can run it too: its client is
`app.client_manager.precache`, its help is its docstring, and all messages besides its result go to stderr.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, ClassVar, NoReturn, cast

from cliff import command, lister, show
from cliff._argparse import SmartHelpFormatter

from precache.cli.client import PrecacheClient
from precache.cli.errors import UsageError
from precache.cli.exit_codes import ExitCode, code_for_error
from precache.cli.printable import printable
from precache.core.errors import PrecacheError, Unavailable

Columns = tuple[Sequence[str], Iterable[Any]]

_EXAMPLE = re.compile(r"(?<=^  )precache ", re.MULTILINE)


def not_empty(text: str) -> str:
    """Return a name or id, for argparse. An empty one, as of an unset variable, would change the path of a request."""
    if not text.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is empty; is a variable unset?")
    return text


def _end(parser: argparse.ArgumentParser, end_with_usage: Callable[[str], NoReturn], message: str) -> NoReturn:
    """End the program because of a wrong command line; without the long usage if the message names the argument."""
    if not message.startswith("argument "):
        end_with_usage(message)
    parser.exit(ExitCode.USAGE, f"{parser.prog}: error: {message}\n")


class _UnwrappedHelpFormatter(SmartHelpFormatter):
    """Keeps the line breaks of a description, for the examples in it."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "".join(indent + line for line in text.splitlines(keepends=True))


class _BaseCommand(command.Command):
    """exit_code: of a successful command; after --wait it depends on the state of the job."""

    exit_code: int = ExitCode.DONE

    @property
    def service(self) -> PrecacheClient:
        return cast(PrecacheClient, cast(Any, self.app).client_manager.precache)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.formatter_class = _UnwrappedHelpFormatter
        # Examples are written for `precache`; in another program, such as `openstack`, that program's name comes first.
        program, name, _ = prog_name.partition("precache ")
        if name and parser.description:
            parser.description = _EXAMPLE.sub(f"{program}precache ", parser.description)
        parser.error = partial(_end, parser, parser.error)  # type: ignore[method-assign]  # cliff chooses the class
        # No abbreviations: `--image` must not mean `--images`, least of all in a script.
        parser.allow_abbrev = False
        of_all_commands = len(parser._actions)
        self.add_arguments(parser)
        for action in parser._actions[of_all_commands:]:
            if action.nargs != 0:  # it takes a value
                action.type = action.type or not_empty
        return parser

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's own arguments; by default there are none."""

    def get_epilog(self) -> str:
        # cliff would search for the distribution of the command, which takes 100 ms.
        return self._epilog or ""

    def run(self, parsed_args: argparse.Namespace) -> int:
        return super().run(parsed_args) or self.exit_code

    @property
    def is_quiet(self) -> bool:
        return bool(self.app.options.verbose_level < 1)

    def print_message(self, message: str) -> None:
        """Print a message on stderr."""
        cast(Any, self.app).stderr.write(f"{message}\n")

    def for_each(self, names: Sequence[str], act: Callable[[str], object], *, done_is: str = "Done") -> int:
        """Call `act` for each name. Every failure is printed; the first one decides the exit code.

        If the service is unavailable, the remaining names are not tried. The successful names are printed only
        after a failure. done_is: the word for them.
        """
        code, done = ExitCode.DONE, list[str]()
        for place, name in enumerate(names):
            try:
                act(name)
            except PrecacheError as error:
                self.print_message(f"precache: {printable(str(error))}")
                code = code or code_for_error(error)
                if isinstance(error, Unavailable) and names[place + 1 :]:
                    self.print_message(f"precache: Not tried: {printable(', '.join(names[place + 1 :]))}")
                    break
            else:
                done.append(name)
        if code and done:
            self.print_message(f"precache: {done_is}: {printable(', '.join(done))}")
        return code


class Command(_BaseCommand):
    """A command without a result to format."""


class _DisplayCommand(_BaseCommand):
    """columns: the names of the result's columns, known in advance, so that a wrong -c fails before any request."""

    columns: ClassVar[tuple[str, ...]]

    def columns_of(self, parsed_args: argparse.Namespace) -> tuple[str, ...]:
        """Return the columns of this command line's result, which may lack some."""
        return self.columns

    def asked_columns(self, parsed_args: argparse.Namespace) -> list[str]:
        """Return the names of the columns that -c chose, in their own spelling; none means all."""
        return [name.lower().strip().replace(" ", "_") for name in parsed_args.columns]

    def run(self, parsed_args: argparse.Namespace) -> int:
        known = self.columns_of(parsed_args)
        unknown = [name for name in self.asked_columns(parsed_args) if name not in known]
        if unknown:
            raise UsageError(f"There is no column {', '.join(unknown)}; there are {', '.join(known)}")
        return super().run(parsed_args)


class ListCommand(_DisplayCommand, lister.Lister):
    """A command whose result is a list.

    least_needed: columns that a table leaves out if it does not fit the terminal, in this order. table: the formatter.
    """

    least_needed: ClassVar[tuple[str, ...]] = ()
    table: Any

    formatter_namespace = "precache.formatters.list"

    def _load_formatter_plugins(self) -> Any:
        formatters: Any = super()._load_formatter_plugins()
        self.table = formatters["table"].obj
        self.table.least_needed = self.least_needed
        return formatters


class ShowCommand(_DisplayCommand, show.ShowOne):
    """A command whose result is one object."""

    formatter_namespace = "precache.formatters.one"
