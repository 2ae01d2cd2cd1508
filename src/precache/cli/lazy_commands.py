"""Finds commands by name in the entry points, and imports only the one that is run.

cliff's own manager imports all commands at every start, including those of the service.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from cliff.commandmanager import CommandManager

from precache.cli.errors import CommandUnavailable

GROUP = "precache.commands"


class LazyCommand:
    """An entry point with a one-sentence error if it cannot be loaded."""

    def __init__(self, name: str, entry_point: EntryPoint) -> None:
        self.name = name
        self.value = entry_point.value
        self._entry_point = entry_point

    def load(self) -> Any:
        try:
            return self._entry_point.load()
        except Exception as error:
            raise CommandUnavailable(self.name, f"{type(error).__name__}: {error}") from error


class LazyCommandManager(CommandManager):
    """cliff's look-up of commands, without importing them."""

    def load_commands(self, namespace: str) -> None:
        self.group_list.append(namespace)
        for entry_point in entry_points(group=namespace):
            name = entry_point.name.replace("_", " ")
            self.commands[name] = LazyCommand(name, entry_point)  # type: ignore[assignment]
