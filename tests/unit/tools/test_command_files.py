"""The man page and the completions: all commands and options are in each, and shells and man read them."""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from precache.cli.app import PrecacheApp
from tools.command_files.__main__ import FILES, write_files
from tools.command_files.commands import Program, read_program

ROOT = Path(__file__).parents[3]
BASH = "bash-completion/completions/precache"
FISH = "fish/vendor_completions.d/precache.fish"
MAN = "man/man1/precache.1"
ZSH = "zsh/site-functions/_precache"
RUN_TIMEOUT_S = 60


@pytest.fixture(scope="module")
def program() -> Program:
    return read_program()


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("share")
    write_files(folder)
    return folder


def needs(name: str) -> str:
    """Return the path of a program that not every machine has."""
    found = shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed")
    return found


def run(*command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"LC_ALL": "C.UTF-8"} | variables
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=RUN_TIMEOUT_S)


def complete(share: Path, *words: str) -> list[str]:
    """Return what bash offers for the last of these words, which are given as bash splits them."""
    script = f"""
        source {shlex.quote(str(share / BASH))}
        COMP_WORDS=({shlex.join(words)}) COMP_CWORD={len(words) - 1}
        _precache
        (( ${{#COMPREPLY[@]}} == 0 )) || printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = run("bash", "--norc", "-c", script)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def as_written(name: str, flag: str) -> str:
    if name == MAN:
        return flag.replace("-", "\\-")
    if name == FISH:
        return f"-l {flag[2:]} " if flag.startswith("--") else f"-s {flag[1:]} "
    return flag


def test_the_commands_are_those_of_the_program(program: Program) -> None:
    app = PrecacheApp(environ={}, stdout=io.StringIO(), stderr=io.StringIO())

    assert {command.name for command in program.commands} == {name for name, _ in app.command_manager}


@pytest.mark.parametrize("name", FILES)
def test_each_file_has_every_option_with_its_help(name: str, program: Program, share: Path) -> None:
    text = (share / name).read_text(encoding="utf-8")

    options = [*program.options, *(option for command in program.commands for option in command.options)]
    flags = {flag for option in options for flag in option.flags}
    assert {flag for flag in flags if as_written(name, flag) not in text} == set()
    if name != BASH:
        assert "show tracebacks" in text
        assert "configuration file; may be given several times" in text


def test_the_man_page_has_every_command_and_exit_code(program: Program, share: Path) -> None:
    text = (share / MAN).read_text(encoding="utf-8")

    assert re.findall(r'^\.SS "precache (.*)"$', text, re.MULTILINE) == [command.name for command in program.commands]
    assert [int(code) for code in re.findall(r"^\.B (\d+)$", text, re.MULTILINE)] == [
        code for code, _ in program.exit_codes
    ]


def test_the_files_do_not_depend_on_where_they_are_made(share: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools.command_files", str(tmp_path / "again")]
    settings = {"PRECACHE_URL": "http://elsewhere", "OS_CLOUD": "mine", "COLUMNS": "40", "CLIFF_FIT_WIDTH": "1"}
    variables = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONHASHSEED": "7", "LC_ALL": "C", **settings}

    subprocess.run(command, cwd=ROOT, env=variables, check=True, timeout=RUN_TIMEOUT_S)

    assert {name: (tmp_path / "again" / name).read_bytes() for name in FILES} == {
        name: (share / name).read_bytes() for name in FILES
    }


def test_bash_completes_every_command_word_by_word(program: Program, share: Path) -> None:
    for start, following in program.next_words().items():
        assert complete(share, "precache", *start.split(), "") == list(following)


def test_bash_completes_the_options_of_every_command(program: Program, share: Path) -> None:
    own = next(command for command in program.commands if command.name == "aggregate cache image")

    offered = complete(share, "precache", "aggregate", "cache", "image", "-")

    expected = {flag for option in (*own.options, *program.options) for flag in option.flags}
    assert set(offered) == expected
    assert len(offered) == len(expected)


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("ag", ["aggregate"]),
        ("--d", ["--debug"]),
        ("aggregate list --q", ["--quote", "--quiet"]),
        ("aggregate list --quote ", ["all", "minimal", "none", "nonnumeric"]),
        ("aggregate list --quote = m", ["minimal"]),
        ("aggregate list --quote =", ["all", "minimal", "none", "nonnumeric"]),
        ("--url http : //127.0.0.1 : 8775 job l", ["list"]),
        ("--url = http : //127.0.0.1 : 8775 job l", ["list"]),
        ("--auth-token job host l", ["list"]),
        ("aggregate --debug cache ", ["image"]),
        ("help job task ", ["list"]),
        ("--url ", []),
        ("job show ", []),
        ("nonsense ", []),
    ],
)
def test_bash_completes(words: str, offered: list[str], share: Path) -> None:
    assert complete(share, "precache", *words.split(" ")) == offered


def test_bash_completes_files_and_directories(share: Path, tmp_path: Path) -> None:
    (tmp_path / "with space").mkdir()
    (tmp_path / "without.conf").touch()

    typed = str(tmp_path / "with")

    assert complete(share, "precache", "serve", "all", "--state-dir", typed) == [f"{typed} space"]
    assert sorted(complete(share, "precache", "--cacert", typed)) == [f"{typed} space", f"{typed}out.conf"]


def test_bash_registers_the_function(share: Path) -> None:
    done = run("bash", "--norc", "-c", f"source {shlex.quote(str(share / BASH))}; complete -p precache")

    assert done.stdout == "complete -F _precache precache\n"


def test_zsh_reads_its_file(share: Path) -> None:
    done = run(needs("zsh"), "-f", "-n", share / ZSH)

    assert (done.returncode, done.stderr) == (0, "")
    assert (share / ZSH).read_text().startswith("#compdef precache\n")


def test_fish_reads_its_file_and_completes(share: Path, tmp_path: Path) -> None:
    script = f"source {share / FISH}; complete -C 'precache --url x aggregate list --quote '"

    done = run(needs("fish"), "--no-config", "-c", script, HOME=str(tmp_path))

    assert [line.partition("\t")[0] for line in done.stdout.splitlines()] == ["all", "minimal", "none", "nonnumeric"]


def test_groff_has_nothing_to_say_against_the_man_page(share: Path) -> None:
    done = run(needs("groff"), "-ww", "-K", "utf8", "-man", "-T", "utf8", "-P", "-cbou", share / MAN)

    assert (done.returncode, done.stderr) == (0, "")
    assert "   precache aggregate cache image\n" in done.stdout
    assert "--os-cloud NAME" in done.stdout


def test_man_shows_the_page(share: Path) -> None:
    done = run(needs("man"), "--warnings", "--local-file", str(share / MAN), MANWIDTH="100")

    assert (done.returncode, done.stderr) == (0, "")
    assert "fill the image caches of compute hosts before instances boot from them" in done.stdout
