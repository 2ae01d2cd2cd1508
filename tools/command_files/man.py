"""Writes the man page: one for all commands, similar to openstack(1)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tools.command_files.commands import Command, Option, Program

_LEAVES_A_LINE_TO_ROFF = (".", "'")


def man_page(program: Program) -> str:
    return "\n".join(_lines(program)) + "\n"


def _lines(program: Program) -> Iterator[str]:
    yield f'.TH PRECACHE 1 "" "precache {_text(program.version)}" "Precache"'
    yield ".nh"  # a name of a variable or an option is not hyphenated
    yield from (".SH NAME", f"precache \\- {_text(_sentence(program.description))}")
    yield from (".SH SYNOPSIS", ".B precache", "[options] <command> [arguments]")
    yield ".PP"
    yield from (".B precache help", "[<command>]")
    yield from (".SH DESCRIPTION", _text(program.description), "Options may stand before or after the command.")
    yield ".SH OPTIONS"
    yield from _definitions(program.options)
    yield ".SH COMMANDS"
    for command in program.commands:
        yield from _command(command)
    yield ".SH EXIT STATUS"
    for code, meaning in program.exit_codes:
        yield from (".TP", f".B {code}", _text(meaning))


def _sentence(text: str) -> str:
    return text[:1].lower() + text[1:].rstrip(".")


def _command(command: Command) -> Iterator[str]:
    yield f'.SS "precache {_text(command.name)}"'
    yield f"\\fBprecache {_text(command.name)}\\fR {_text(command.usage)}"
    yield ".PP"
    yield from _paragraphs(command.description)
    yield from _definitions((*command.arguments, *command.options))


def _paragraphs(description: str) -> Iterator[str]:
    """Yield the text's paragraphs; indented lines (examples) keep their line breaks."""
    as_written = after_blank = False
    for line in description.splitlines():
        if line and line.startswith(" ") != as_written:
            as_written = not as_written
            yield from ((".PP", ".nf", ".RS 4") if as_written else (".RE", ".fi", ".PP"))
        elif line and after_blank:
            yield ".PP"
        if line:
            yield _text(line.strip())
        after_blank = not line
    if as_written:
        yield from (".RE", ".fi")


def _definitions(options: tuple[Option, ...]) -> Iterator[str]:
    for option in options:
        value = f" \\fI{_text(option.value)}\\fR" if option.value else ""
        names = ", ".join(f"\\fB{_text(flag)}\\fR" for flag in option.flags)
        yield from (".TP", f"{names}{value}".strip(), _text(option.help) or "\\&")
        if option.choices and not set(option.choices) <= set((option.value or "").strip("{}").split(",")):
            yield f"One of: {_text(', '.join(option.choices))}."


def _text(text: str) -> str:
    """Return the text escaped for roff: hyphens that can be copied, no escapes, no requests.

    A long list of values without spaces may be broken after each comma.
    """
    written = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    written = re.sub(r",(?=\S)", r",\\:", written)
    return f"\\&{written}" if written.startswith(_LEAVES_A_LINE_TO_ROFF) else written
