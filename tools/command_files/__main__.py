"""python -m tools.command_files FOLDER: write all files below FOLDER, with their paths below `share`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from tools.command_files.bash import bash_completion
from tools.command_files.commands import Program, read_program
from tools.command_files.fish import fish_completion
from tools.command_files.man import man_page
from tools.command_files.zsh import zsh_completion

FILES: dict[str, Callable[[Program], str]] = {
    "man/man1/precache.1": man_page,
    "bash-completion/completions/precache": bash_completion,
    "zsh/site-functions/_precache": zsh_completion,
    "fish/vendor_completions.d/precache.fish": fish_completion,
}
"""The paths that the shells and man use, below `share` of the installation."""


def write_files(folder: Path) -> None:
    program = read_program()
    for name, render in FILES.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(render(program), encoding="utf-8")


if __name__ == "__main__":
    write_files(Path(sys.argv[1]))
