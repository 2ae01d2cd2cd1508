"""Writes completion for zsh: the function _precache, which compinit finds in a folder of $fpath."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from tools.command_files.commands import Option, Program
from tools.command_files.shell_words import argument_choices, flags_with_values, options_behind

_TEMPLATE = """\
#compdef precache
# Completion of precache {version} for zsh; made from its commands, do not edit.

# Fills the array following with the words that may follow the beginning of a command.
_precache_words() {{
    following=()
    case $1 in
{words}
    esac
}}

_precache() {{
    local command= unknown= word state
    local -a following specs
    integer place
    for (( place = 2; place < CURRENT; place++ )); do
        word=$words[place]
        case $word in
            ({skipped}) (( place++ )); continue ;;
            (-*) continue ;;
            (help) [[ -n $command ]] || continue ;;
        esac
        _precache_words "$command"
        (( ${{following[(I)$word:*]}} )) || {{ unknown=yes; break }}
        command="${{command:+$command }}$word"
    done
    case $command in
{options}
    esac
    _arguments -S $specs '*: :->word' && return
    if [[ $state == word && -z $unknown ]]; then
        _precache_words "$command"
        _describe -t commands 'command' following
    fi
}}

_precache "$@"
"""


def zsh_completion(program: Program) -> str:
    return _TEMPLATE.format(
        version=program.version,
        words="\n".join(_words(program)),
        skipped="|".join(flags_with_values(program.options)),
        options="\n".join(_options(program)),
    )


def _words(program: Program) -> Iterator[str]:
    for start, words in program.next_words().items():
        described = (shlex.quote(f"{word}:{program.about(f'{start} {word}'.strip())}") for word in words)
        yield f"        ({shlex.quote(start)}) following=({' '.join(described)}) ;;"
    for command in program.commands:
        if choices := argument_choices(command.arguments):
            yield f"        ({shlex.quote(command.name)}) following=({' '.join(map(shlex.quote, choices))}) ;;"


def _options(program: Program) -> Iterator[str]:
    for command in program.commands:
        yield _case(shlex.quote(command.name), options_behind(program, command.options))
    yield _case("*", program.options)


def _case(pattern: str, options: tuple[Option, ...]) -> str:
    specs = "\n".join(f"            {_spec(option, flag)}" for option in options for flag in option.flags)
    return f"        ({pattern}) specs=(\n{specs}\n        ) ;;"


def _spec(option: Option, flag: str) -> str:
    """Return the specification of a flag for _arguments: repeatable, help, and value."""
    named = f"{flag}=" if option.value and flag.startswith("--") else flag
    spec = f"*{named}[{_escaped(option.help)}]"
    return shlex.quote(f"{spec}:{_escaped(option.value)}:{_value(option)}" if option.value else spec)


def _value(option: Option) -> str:
    if option.choices:
        return f"({' '.join(option.choices)})"
    return "_files" if option.takes_file else "_files -/" if option.takes_directory else " "


def _escaped(text: str) -> str:
    for special in ("\\", "[", "]", ":"):
        text = text.replace(special, f"\\{special}")
    return text
