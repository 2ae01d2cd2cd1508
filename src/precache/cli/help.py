"""`precache help`: cliff's, but for the overview, which must not import every command."""

from __future__ import annotations

import argparse
from typing import Any, cast

from cliff.help import HelpCommand

from precache.cli.command import Command
from precache.cli.errors import UsageError
from precache.cli.overview import commands_below, write_commands, write_overview


class Help(Command, HelpCommand):
    """Explain a command, or list them all.

    Example:
      precache help aggregate cache image
    """

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        app = cast(Any, self.app)
        below = commands_below(app.command_manager, parsed_args.cmd)
        if not parsed_args.cmd:
            write_overview(app.parser, app.command_manager, app.stdout)
        elif below and " ".join(parsed_args.cmd) not in below:
            write_commands(app.command_manager, below, app.stdout)
        elif not below and parsed_args.cmd[0] not in app.command_manager.commands:
            raise UsageError(f"There is no command '{' '.join(parsed_args.cmd)}'; 'precache help' lists them all")
        else:
            return HelpCommand.take_action(self, parsed_args)
        return 0
