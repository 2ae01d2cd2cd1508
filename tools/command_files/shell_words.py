"""What the completions for all shells have in common."""

from __future__ import annotations

from collections.abc import Iterable

from tools.command_files.commands import Option, Program


def flags_with_values(options: Iterable[Option]) -> list[str]:
    """Return the flags behind which a value stands."""
    return [flag for option in options if option.value for flag in option.flags]


def options_behind(program: Program, own: tuple[Option, ...]) -> tuple[Option, ...]:
    """Return the options that are understood behind a command: its own first, which win, then those of the program."""
    taken = {flag for option in own for flag in option.flags}
    return (*own, *(option for option in program.options if not taken & set(option.flags)))


def argument_choices(arguments: Iterable[Option]) -> list[str]:
    return [choice for argument in arguments for choice in argument.choices]
