"""The shared parts of the completions for all shells."""

from __future__ import annotations

from collections.abc import Iterable

from tools.command_files.commands import Option, Program


def flags_with_values(options: Iterable[Option]) -> list[str]:
    """Return the flags that take a value."""
    return [flag for option in options if option.value for flag in option.flags]


def options_behind(program: Program, own: tuple[Option, ...]) -> tuple[Option, ...]:
    """Return the options that are allowed after a command: its own, which take precedence, then global ones."""
    taken = {flag for option in own for flag in option.flags}
    return (*own, *(option for option in program.options if not taken & set(option.flags)))


def argument_choices(arguments: Iterable[Option]) -> list[str]:
    return [choice for argument in arguments for choice in argument.choices]
