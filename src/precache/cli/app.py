"""The program: reads the options, runs the command, and turns every error into an exit code and a sentence.

cliff's own App starts an interactive shell if there is no command, and exits with 1 for every error; both are replaced
here. Its attributes for commands (options, stdout, stderr, client_manager) are the same as in cliff and in the
`openstack` client.
"""

from __future__ import annotations

import argparse
import traceback
from collections.abc import Mapping
from difflib import get_close_matches
from importlib.metadata import version as installed_version
from typing import Any, TextIO

from cliff.app import App
from cliff.help import HelpExit

from precache.cli.errors import RequestInterrupted
from precache.cli.exit_codes import ExitCode, code_for_error
from precache.cli.lazy_commands import GROUP, LazyCommandManager
from precache.cli.options import ClientManager, option_parser
from precache.cli.overview import Help, commands_below, write_commands, write_overview
from precache.cli.printable import printable
from precache.cli.streams import explain_os_error
from precache.core.errors import PrecacheError


class PrecacheApp(App):
    """One run of the program."""

    NAME = "precache"

    def __init__(self, *, environ: Mapping[str, str], stdout: TextIO, stderr: TextIO) -> None:
        self._environ = environ
        super().__init__(
            description=None,
            version=installed_version("precache"),
            command_manager=LazyCommandManager(GROUP),
            stdout=stdout,
            stderr=stderr,
            deferred_help=True,
        )
        self.command_manager.add_command("help", Help)
        self.client_manager: ClientManager

    def build_option_parser(
        self, description: str | None, version: str | None, argparse_kwargs: dict[str, Any] | None = None
    ) -> argparse.ArgumentParser:
        return option_parser(version or "unknown", self._environ)

    def run(self, argv: list[str]) -> int:
        self.options, words = self.parser.parse_known_args(argv)
        self.client_manager = ClientManager(self.options, self._environ)
        try:
            if self.options.verbose_level > 1 or self.options.log_file:
                self.configure_logging()
            if self.options.help_wanted:
                return self._help(words)
            if not words:
                write_overview(self.parser, self.command_manager, self.stderr)
                return ExitCode.USAGE
            return self.run_subcommand(words)
        except HelpExit:
            return ExitCode.DONE
        except BrokenPipeError:
            return ExitCode.OUTPUT_CLOSED
        except RequestInterrupted as interruption:
            self.stderr.write(f"\nprecache: {interruption}\n")
            return ExitCode.INTERRUPTED
        except KeyboardInterrupt:
            return ExitCode.INTERRUPTED
        except Exception as error:  # noqa: BLE001 - the last border before the operator
            return self._report(error)

    def run_subcommand(self, argv: list[str]) -> int:
        """Run the command at the start of `argv`. Raises the command's errors."""
        try:
            factory, name, rest = self.command_manager.find_command(argv)
        except ValueError:
            return self._unknown(argv)
        command = factory(self, self.options, cmd_name=name)
        parsed = command.get_parser(f"{self.NAME} {name}").parse_args(rest)
        return command.run(parsed)

    def _help(self, words: list[str]) -> int:
        if not words:
            write_overview(self.parser, self.command_manager, self.stdout)
            return ExitCode.DONE
        plain = next((place for place, word in enumerate(words) if word.startswith("-")), len(words))
        below = commands_below(self.command_manager, words[:plain])
        if below and " ".join(words[:plain]) not in below:
            write_commands(self.command_manager, below, self.stdout)
            return ExitCode.DONE
        # Before the other options, so that help works even if one of them is wrong.
        return self.run_subcommand([*words[:plain], "--help", *words[plain:]])

    def _unknown_option(self, typed: str) -> int:
        name = typed.partition("=")[0]
        known = [option for action in self.parser._actions for option in action.option_strings]
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        self.stderr.write(
            f"precache: There is no option {printable(name)} in front of a command; {hint}'precache --help' lists "
            "those; put the options of a command after its name\n"
        )
        return ExitCode.USAGE

    def _unknown(self, argv: list[str]) -> int:
        if argv[0].startswith("-"):
            return self._unknown_option(argv[0])
        words = [word for word in argv if not word.startswith("-")]
        below = commands_below(self.command_manager, words[:1])
        likely = below or (self.get_fuzzy_matches(words[0]) if words else [])
        typed = printable(" ".join(words or argv))
        self.stderr.write(f"precache: There is no command '{typed}'; ")
        if likely:
            self.stderr.write("did you mean one of these?\n")
            write_commands(self.command_manager, likely, self.stderr)
        else:
            self.stderr.write("'precache --help' lists them all\n")
        return ExitCode.USAGE

    def _report(self, error: Exception) -> int:
        if self.options.debug:
            traceback.print_exception(error, file=self.stderr)
        if isinstance(error, PrecacheError):
            self.stderr.write(f"precache: {printable(str(error))}\n")
            return code_for_error(error)
        if isinstance(error, OSError):
            self.stderr.write(f"precache: {printable(explain_os_error(error))}\n")
        else:
            what = printable(f"{type(error).__name__}: {error}")
            self.stderr.write(f"precache: This should not have happened: {what}; --debug shows where\n")
        return ExitCode.REFUSED
