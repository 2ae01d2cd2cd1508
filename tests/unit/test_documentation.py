"""What the documents tell people to type: every command exists and takes these options, every snippet can be read."""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from precache.cli.app import PrecacheApp
from precache.cli.exit_codes import MEANINGS, ExitCode
from precache.config.load import load_config

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/adr/*.md"), *ROOT.glob("changes/*.md")]
)
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`(?:openstack )?precache ([^`]+)`")
_HAS_COMMAND = re.compile(r"(?:^|[|&;]\s*)(?:openstack )?precache ")
_BREAKS = {"|", "||", "&&", ";", ">", ">>", "<", "&"}


def fenced(document: Path, *kinds: str) -> Iterator[str]:
    """Return the blocks of these kinds, such as `sh`; an empty kind is a block without one."""
    yield from (text for kind, text in _FENCE.findall(document.read_text()) if kind in kinds)


def command_lines(text: str) -> Iterator[list[str]]:
    """Return every `precache ...` of shell text as words, without what the shell would take for itself."""
    for line in filter(_HAS_COMMAND.search, text.replace("\\\n", " ").splitlines()):
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        lexer.commenters = "#"
        command: list[str] = []
        for word in [*lexer, ";"]:
            if word not in _BREAKS:
                command.append(word)
                continue
            if command[:2] == ["openstack", "precache"]:
                yield command[2:]
            elif command[:1] == ["precache"]:
                yield command[1:]
            command = []


def documented() -> list[tuple[str, list[str]]]:
    return [
        (document.name, words)
        for document in DOCUMENTS
        for block in fenced(document, "sh", "bash", "console", "")
        for words in command_lines(block)
    ]


@pytest.fixture(scope="module")
def app() -> PrecacheApp:
    return PrecacheApp(environ={}, stdout=io.StringIO(), stderr=io.StringIO())


def parse(app: PrecacheApp, argv: list[str]) -> None:
    """Read a command line as the program would; SystemExit or ValueError if it cannot."""
    options, words = app.parser.parse_known_args(argv)
    if options.help_wanted or not words:
        return
    factory, name, rest = app.command_manager.find_command(words)
    factory(app, options, cmd_name=name).get_parser(name).parse_args(rest)


def test_there_are_commands_to_look_at() -> None:
    assert len(documented()) > 10


@pytest.mark.parametrize(
    ("document", "words"), documented(), ids=lambda value: value if isinstance(value, str) else None
)
def test_a_command_in_a_document_can_be_read(app: PrecacheApp, document: str, words: list[str]) -> None:
    if words == ["--version"]:
        return
    parse(app, words)


def _begins_a_command(said: str, known: list[str]) -> bool:
    """Return whether this is a command, perhaps with arguments, or a group of several: `serve api|conductor`."""
    words = re.split(r"\.\.\.|\||(?:^|\s)-", " ".join(said.split()))[0].strip()
    return any(name.startswith(words) or f"{words} ".startswith(name) for name in known)


def test_a_command_named_in_a_sentence_exists(app: PrecacheApp) -> None:
    known = [f"{name} " for name, _ in app.command_manager]
    unknown = [
        f"{document.name}: precache {said}"
        for document in DOCUMENTS
        for said in _INLINE.findall(document.read_text())
        if not _begins_a_command(said, known)
    ]

    assert unknown == []


def _first_cells(document: Path, heading: str) -> list[str]:
    """Return the first cell of each row of the tables below a heading."""
    _, _, text = document.read_text().partition(f"\n## {heading}\n")
    rows = [line for line in text.partition("\n## ")[0].splitlines() if line.startswith("|")]
    return [re.split(r"(?<!\\)\|", row)[1].strip() for row in rows]


def test_every_command_is_in_the_table_of_commands(app: PrecacheApp) -> None:
    said = [
        text for cell in _first_cells(ROOT / "docs" / "cli.md", "Commands") for text in re.findall("`([^`]+)`", cell)
    ]

    assert {
        name for name, _ in app.command_manager if not any(f"{text} ".startswith(f"{name} ") for text in said)
    } == set()


def test_every_exit_code_is_reported_in_the_document_and_by_the_program() -> None:
    told = [int(cell) for cell in _first_cells(ROOT / "docs" / "cli.md", "Exit codes") if cell.isdecimal()]

    assert told == sorted(ExitCode) == list(MEANINGS)


@pytest.mark.parametrize("number", [0, 1], ids=["controllers", "compute hosts"])
def test_the_configuration_of_the_installation_guide_is_accepted(number: int, tmp_path: Path) -> None:
    blocks = [text for text in fenced(ROOT / "docs" / "install.md", "ini") if "transport_url" in text]
    file = tmp_path / "precache.conf"
    file.write_text(blocks[number].replace("THE_KEY", "k" * 43 + "="))

    config = load_config([file])

    assert config.service_user.auth is not None
    assert config.bus.transport_url is not None
    assert (config.database.connection is not None) == (number == 0)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_starts_a_command_that_there_is(app: PrecacheApp, unit: Path) -> None:
    [start] = re.findall(r"^ExecStart=/opt/precache/bin/precache (.*)$", unit.read_text(), re.MULTILINE)

    parse(app, shlex.split(start))
