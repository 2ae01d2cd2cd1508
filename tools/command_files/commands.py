"""Reads the program's commands and their options from the parsers.

The names of commands and output formats come from pyproject.toml: while a wheel is built, Precache is not installed.
"""

from __future__ import annotations

import argparse
import importlib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from stevedore import ExtensionManager

from precache.cli.exit_codes import MEANINGS
from precache.cli.options import option_parser

ROOT = Path(__file__).parents[2]
GROUP = "precache.commands"
_FORMATTERS = "precache.formatters."
_ADDED_BY_THE_PROGRAM = {"complete": "cliff.complete:CompleteCommand", "help": "precache.cli.overview:Help"}


@dataclass(frozen=True)
class Option:
    """An option, or an argument, which has no flags.

    value: the placeholder of its value in the help; None if it has no value.
    """

    flags: tuple[str, ...]
    value: str | None
    help: str
    choices: tuple[str, ...] = ()

    @property
    def takes_file(self) -> bool:
        return self.value == "FILE"

    @property
    def takes_directory(self) -> bool:
        return self.value == "DIR"


@dataclass(frozen=True)
class Command:
    """description: its first line is a summary."""

    name: str
    usage: str
    description: str
    options: tuple[Option, ...]
    arguments: tuple[Option, ...]

    @property
    def summary(self) -> str:
        return self.description.strip().partition("\n")[0].rstrip(".")


@dataclass(frozen=True)
class Program:
    """options: the global options, which are allowed before and after the command."""

    version: str
    description: str
    options: tuple[Option, ...]
    commands: tuple[Command, ...]
    exit_codes: tuple[tuple[int, str], ...]

    def next_words(self) -> dict[str, tuple[str, ...]]:
        """Return the words that may follow each prefix of a command; all commands have the empty prefix."""
        following: dict[str, set[str]] = {}
        for command in self.commands:
            words = command.name.split()
            for place, word in enumerate(words):
                following.setdefault(" ".join(words[:place]), set()).add(word)
        return {start: tuple(sorted(words)) for start, words in sorted(following.items())}

    def about(self, name: str) -> str:
        """Return the summary of a command, or of a prefix of several commands."""
        exact = [command.summary for command in self.commands if command.name == name]
        return exact[0] if exact else f"commands that begin with {name}"


def read_program() -> Program:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    targets = {
        name.replace("_", " "): target for name, target in project["entry-points"][GROUP].items()
    } | _ADDED_BY_THE_PROGRAM
    _provide_formatters(project["entry-points"])
    # With an empty environment: variables of the build are not defaults of the program.
    parser = option_parser(project["version"], {})
    return Program(
        version=project["version"],
        description=parser.description or "",
        options=_options(parser),
        commands=tuple(_command(name, targets[name]) for name in sorted(targets)),
        exit_codes=tuple((int(code), meaning) for code, meaning in MEANINGS.items()),
    )


def _provide_formatters(entry_points: Mapping[str, Mapping[str, str]]) -> None:
    """Store the output formats where cliff looks first; it would search the installed packages."""
    for group, formatters in entry_points.items():
        if group.startswith(_FORMATTERS):
            found = [EntryPoint(name, target, group) for name, target in formatters.items()]
            ExtensionManager.ENTRY_POINT_CACHE[group] = found


def _command(name: str, target: str) -> Command:
    module, _, attribute = target.partition(":")
    # The attributes that cliff reads when it constructs a command.
    app = SimpleNamespace(command_manager=SimpleNamespace(namespace=GROUP))
    made: Any = getattr(importlib.import_module(module), attribute)(app, None, cmd_name=name)
    parser: argparse.ArgumentParser = made.get_parser(f"precache {name}")
    arguments = [action for action in parser._get_positional_actions() if action.help != argparse.SUPPRESS]
    return Command(
        name=name,
        usage=" ".join([*(["[options]"] if _options(parser) else []), *map(_argument_usage, arguments)]),
        description=(parser.description or "").strip(),
        options=_options(parser),
        arguments=tuple(_option(action) for action in arguments),
    )


def _options(parser: argparse.ArgumentParser) -> tuple[Option, ...]:
    return tuple(_option(action) for action in parser._get_optional_actions() if action.help != argparse.SUPPRESS)


def _option(action: argparse.Action) -> Option:
    choices = tuple(map(str, action.choices or ()))
    return Option(
        flags=tuple(action.option_strings),
        value=None if action.nargs == 0 else _value(action, choices),
        help=_help(action),
        choices=choices,
    )


def _value(action: argparse.Action, choices: Iterable[str]) -> str:
    if isinstance(action.metavar, str):
        return action.metavar.strip("<>")
    if not action.option_strings:
        return action.dest
    return "{" + ",".join(choices) + "}" if choices else action.dest.upper()


def _help(action: argparse.Action) -> str:
    """Return the help of an option on one line, with its default filled in as by argparse."""
    values: Mapping[str, Any] = vars(action) | {"prog": "precache"}
    return " ".join(((action.help or "") % values).split())


def _argument_usage(action: argparse.Action) -> str:
    name = _value(action, ())
    forms = {"?": f"[{name}]", "*": f"[{name} ...]", "+": f"{name} [{name} ...]"}
    return forms.get(str(action.nargs), name)
