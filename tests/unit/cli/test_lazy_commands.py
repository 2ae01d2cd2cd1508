"""Commands are found by name, imported when run, and described without being imported."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from precache.cli.errors import CommandUnavailable
from precache.cli.lazy_commands import LazyCommand
from precache.cli.overview import summary


def test_a_command_whose_module_is_missing_is_one_sentence() -> None:
    command = LazyCommand("serve all", EntryPoint("serve_all", "no.such.module:Thing", "precache.commands"))

    with pytest.raises(CommandUnavailable, match="'serve all' cannot be loaded in this installation: ModuleNotFound"):
        command.load()


def test_a_command_whose_module_fails_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_command.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(CommandUnavailable, match="ZeroDivisionError"):
        LazyCommand("x", EntryPoint("x", "broken_command:Thing", "precache.commands")).load()


def test_a_summary_is_read_without_running_the_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "costly_command.py").write_text('1 / 0\nclass Thing:\n    """Do it.\n\n    More.\n    """\n')
    monkeypatch.syspath_prepend(tmp_path)

    assert summary("costly_command:Thing") == "Do it"
    assert "costly_command" not in sys.modules


@pytest.mark.parametrize("target", ["no.such.module:Thing", "precache.cli.app:Nothing", "sys:x", "", "x"])
def test_a_summary_that_cannot_be_had_is_empty(target: str) -> None:
    assert summary(target) == ""
