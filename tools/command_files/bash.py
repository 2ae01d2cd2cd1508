"""Writes completion for bash 4.4 or newer; it needs nothing of the package bash-completion."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from tools.command_files.commands import Option, Program
from tools.command_files.shell_words import argument_choices, flags_with_values, options_behind

_TEMPLATE = """\
# Completion of precache {version} for bash; made from its commands, do not edit.

# Prints the words that may follow the beginning of a command.
_precache_words() {{
    case $1 in
{words}
    esac
}}

# Prints the options that are understood behind a command.
_precache_options() {{
    case $1 in
{options}
    esac
}}

# Prints the values of an option: words, or @file, @directory, @any. Returns 1 if the option takes no value.
_precache_values() {{
    case $1,$2 in
{values}
        *) return 1 ;;
    esac
}}

_precache() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} command= unknown= word values place
    COMPREPLY=()
    # --state=failed comes as three words.
    if [[ $cur == = ]]; then
        cur=
    elif [[ $prev == = ]] && (( COMP_CWORD > 2 )); then
        prev=${{COMP_WORDS[COMP_CWORD-2]}}
    fi
    for (( place = 1; place < COMP_CWORD; place++ )); do
        word=${{COMP_WORDS[place]}}
        case $word in
            {skipped})
                [[ ${{COMP_WORDS[place+1]-}} != = ]] || (( place++ ))
                (( place++ ))
                # A URL comes as several words, too: http : //host : port
                while [[ ${{COMP_WORDS[place+1]-}} == :* ]]; do (( place += 2 )); done
                continue ;;
            -*) continue ;;
            help) [[ $command ]] || continue ;;
        esac
        [[ " $(_precache_words "$command") " == *" $word "* ]] || {{ unknown=yes; break; }}
        command="${{command:+$command }}$word"
    done
    if [[ $prev == -* ]] && values=$(_precache_values "$command" "$prev"); then
        case $values in
            @file) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
            @directory) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
            @any) ;;
            *) mapfile -t COMPREPLY < <(compgen -W "$values" -- "$cur") ;;
        esac
    elif [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_precache_options "$command")" -- "$cur")
    elif [[ ! $unknown ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_precache_words "$command")" -- "$cur")
    fi
}}

complete -F _precache precache
"""


def bash_completion(program: Program) -> str:
    return _TEMPLATE.format(
        version=program.version,
        words="\n".join(_words(program)),
        options="\n".join(_options(program)),
        values="\n".join(_values(program)),
        skipped="|".join(flags_with_values(program.options)),
    )


def _case(patterns: Iterable[str], words: Iterable[str]) -> str:
    return f"        {'|'.join(patterns)}) echo {shlex.quote(' '.join(words))} ;;"


def _words(program: Program) -> Iterator[str]:
    for start, words in program.next_words().items():
        yield _case([shlex.quote(start)], words)
    for command in program.commands:
        if choices := argument_choices(command.arguments):
            yield _case([shlex.quote(command.name)], choices)


def _options(program: Program) -> Iterator[str]:
    for command in program.commands:
        options = options_behind(program, command.options)
        yield _case([shlex.quote(command.name)], (flag for option in options for flag in option.flags))
    yield _case(["*"], (flag for option in program.options for flag in option.flags))


def _values(program: Program) -> Iterator[str]:
    for command in program.commands:
        for option in command.options:
            if option.value:
                yield _case((f"{shlex.quote(command.name)},{flag}" for flag in option.flags), _kind(option))
    for option in program.options:
        if option.value:
            yield _case((f"*,{flag}" for flag in option.flags), _kind(option))


def _kind(option: Option) -> tuple[str, ...]:
    if option.choices:
        return option.choices
    return ("@file",) if option.takes_file else ("@directory",) if option.takes_directory else ("@any",)
