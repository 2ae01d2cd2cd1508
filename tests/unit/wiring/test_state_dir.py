"""One directory, one process."""

import subprocess
import sys

import pytest

from precache.core.errors import StateDirUnusable
from precache.wiring.state_dir import StateDir

TAKE = """
import sys
from pathlib import Path
from precache.wiring.state_dir import StateDir
state = StateDir(Path(sys.argv[1]))
state.take()
print("taken", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_ends(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", TAKE, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "taken\n"

        with pytest.raises(StateDirUnusable, match="another precache uses it"):
            StateDir(tmp_path).take()

        first.kill()
    state = StateDir(tmp_path)
    state.take()
    state.release()


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(StateDirUnusable, match="cannot be used: Not a directory"):
        StateDir(tmp_path / "file" / "state").take()


def test_the_directory_is_made_with_its_parents(tmp_path):
    state = StateDir(tmp_path / "a" / "b")

    state.take()

    assert state.root.is_dir()
    state.release()
