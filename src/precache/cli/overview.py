"""The list of commands for `precache --help`, and the command `help`.

A command's line is read from its source file, because importing all commands takes seconds.
"""

from __future__ import annotations

import argparse
import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO, cast

from cliff.commandmanager import CommandManager
from cliff.help import HelpCommand

from precache.cli.command import Command
from precache.cli.errors import UsageError
from precache.cli.exit_codes import MEANINGS


def write_overview(parser: argparse.ArgumentParser, commands: CommandManager, out: TextIO) -> None:
    """Write the options, every command with its summary, and the exit codes."""
    parser.print_help(out)
    out.write("\ncommands:\n")
    write_commands(commands, [name for name, _ in commands], out)
    out.write("\nexit codes:\n")
    for code, meaning in MEANINGS.items():
        out.write(f"  {code:<4} {meaning}\n")
    out.write("\n'precache help <command>' explains a command and gives an example.\n")


def write_commands(commands: CommandManager, names: list[str], out: TextIO) -> None:
    """Write these commands, each with its summary."""
    # Before release 4.13 cliff's own commands have no entry point.
    targets = {name: getattr(entry, "value", "") for name, entry in commands if name in names}
    width = max(map(len, targets), default=0)
    for name in sorted(targets):
        out.write(f"  {name:<{width}}  {summary(targets[name])}".rstrip() + "\n")


def commands_below(commands: CommandManager, words: list[str]) -> list[str]:
    """Return the commands that begin with these words: for `aggregate`, `aggregate list` and others."""
    return [name for name, _ in commands if words and name.split()[: len(words)] == words]


def summary(target: str) -> str:
    """Return the first line of the docstring of the class at `package.module:Class`; empty if none is found."""
    module, _, name = target.partition(":")
    try:
        tree = _source_of(module)
    except (ImportError, OSError, SyntaxError, ValueError):
        return ""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            text = ast.get_docstring(node) or ""
            return text.partition("\n")[0].rstrip(".")
    return ""


@cache
def _source_of(module: str) -> ast.Module:
    spec = find_spec(module)  # imports the packages above it, not the module
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(module)
    return ast.parse(Path(spec.origin).read_bytes())


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
