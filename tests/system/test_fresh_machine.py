"""tools/fresh-machine, where there can be none: exit code 125 and one sentence, so that CI can go on without."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CANNOT = 125
AS_NOBODY = ("setpriv", "--reuid=65534", "--clear-groups")
WITHOUT_MOUNTS = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")

pytestmark = [pytest.mark.system, pytest.mark.skipif(os.geteuid() != 0, reason="drops rights that only root has")]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    author = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    commit = ["git", "-C", tmp_path, *author, "commit", "--quiet", "--allow-empty", "--message=one"]
    subprocess.run(commit, check=True)
    return tmp_path


def refusal(*words: str | Path, rights: tuple[str, ...] = ()) -> str:
    """Run it; return the one sentence."""
    ended = subprocess.run(
        [*rights, ROOT / "tools" / "fresh-machine", *words], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (CANNOT, "", 1), ended.stderr
    return ended.stderr


def test_missing_arguments_print_the_usage() -> None:
    assert "REPOSITORY COMMAND" in refusal(ROOT)


def test_a_folder_without_a_commit_is_refused(tmp_path: Path) -> None:
    assert f"{tmp_path} is no git repository with a commit" in refusal(tmp_path, "true")


def test_only_root_can_make_one() -> None:
    # From a folder that every user may read, or bash could not even read the program.
    program = (ROOT / "tools" / "fresh-machine").read_bytes()
    ended = subprocess.run(
        [*AS_NOBODY, "bash", "-s", "--", "/", "true"], input=program, cwd="/", capture_output=True, check=False
    )
    assert (ended.returncode, b"run it as root" in ended.stderr) == (CANNOT, True)


def test_a_system_without_permission_to_mount_is_reported(repository: Path) -> None:
    assert "admits no mounts or processes of its own" in refusal(repository, "true", rights=WITHOUT_MOUNTS)
