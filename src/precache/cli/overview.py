"""The list of commands, as `precache --help` shows it."""

from __future__ import annotations

import argparse
from typing import TextIO

from cliff.commandmanager import CommandManager

from precache.cli.exit_codes import MEANINGS
from precache.cli.summaries import summary


def write_overview(parser: argparse.ArgumentParser, commands: CommandManager, out: TextIO) -> None:
    """Write the options, every command with one line on it, and the exit codes."""
    parser.print_help(out)
    out.write("\ncommands:\n")
    write_commands(commands, [name for name, _ in commands], out)
    out.write("\nexit codes:\n")
    for code, meaning in MEANINGS.items():
        out.write(f"  {code:<4} {meaning}\n")
    out.write("\n'precache help <command>' explains a command and gives an example.\n")


def write_commands(commands: CommandManager, names: list[str], out: TextIO) -> None:
    """Write these commands, each with one line on it."""
    # cliff's own commands have no place that they come from before its release 4.13.
    targets = {name: getattr(entry, "value", "") for name, entry in commands if name in names}
    width = max(map(len, targets), default=0)
    for name in sorted(targets):
        out.write(f"  {name:<{width}}  {summary(targets[name])}".rstrip() + "\n")


def commands_below(commands: CommandManager, words: list[str]) -> list[str]:
    """Return the commands that begin with these words: `aggregate` has `aggregate list` and more below it."""
    return [name for name, _ in commands if words and name.split()[: len(words)] == words]
