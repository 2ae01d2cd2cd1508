"""Writes completion for fish 3 or newer."""

from __future__ import annotations

from collections.abc import Iterator

from tools.command_files.commands import Option, Program
from tools.command_files.shell_words import argument_choices, flags_with_values

_HEAD = """\
# Completion of precache {version} for fish; made from its commands, do not edit.

# Prints the words of the command that has been typed so far, without options.
function __precache_command
    set -l words
    set -l skip no
    for word in (commandline -opc)[2..-1]
        if test $skip = yes
            set skip no
            continue
        end
        switch $word
            case {skipped}
                set skip yes
            case '-*'
            case help
                set -q words[1]; and set -a words $word
            case '*'
                set -a words $word
        end
    end
    echo "$words"
end

# Whether the next word follows exactly these.
function __precache_at
    test (__precache_command) = "$argv"
end

# Whether these words, the name of a command, have been typed, whatever follows.
function __precache_in
    string match -q -- "$argv *" (__precache_command)" "
end

complete -c precache -f
"""


def fish_completion(program: Program) -> str:
    head = _HEAD.format(version=program.version, skipped=" ".join(flags_with_values(program.options)))
    return head + "\n".join(_lines(program)) + "\n"


def _lines(program: Program) -> Iterator[str]:
    for option in program.options:
        yield _line("", option)
    for start, words in program.next_words().items():
        for word in words:
            about = _quoted(program.about(f"{start} {word}".strip()))
            yield f"complete -c precache -n {_quoted(f'__precache_at {start}'.strip())} -a {word} -d {about}"
    for command in program.commands:
        condition = f"-n {_quoted(f'__precache_in {command.name}')} "
        if choices := argument_choices(command.arguments):
            yield f"complete -c precache {condition}-a {_quoted(' '.join(choices))}"
        for option in command.options:
            yield _line(condition, option)


def _line(condition: str, option: Option) -> str:
    flags = " ".join(f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in option.flags)
    return f"complete -c precache {condition}{flags}{_value(option)} -d {_quoted(option.help)}"


def _value(option: Option) -> str:
    if not option.value:
        return ""
    if option.choices:
        return f" -x -a {_quoted(' '.join(option.choices))}"
    if option.takes_directory:
        return " -x -a '(__fish_complete_directories)'"
    return " -r -F" if option.takes_file else " -x"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
