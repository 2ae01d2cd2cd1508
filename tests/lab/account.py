"""The system's users that servers of tests run as when root runs the tests, and directories that such a user may enter.

Some servers refuse to run as root. Other users than root run everything under their own account.
"""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.lab.guardian import guardian


def identity(account: str | None) -> dict[str, Any]:
    """Return the arguments of `subprocess` with which a child of root runs as this user; none for other users."""
    if account is None or os.geteuid() != 0:
        return {}
    user = pwd.getpwnam(account)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def hand_over(path: Path, account: str) -> None:
    """Make the file or directory, and all below, this user's, if root runs the tests."""
    owner = identity(account)
    if owner:
        for each in (path, *path.rglob("*")):
            os.chown(each, owner["user"], owner["group"])


@contextmanager
def directory_of(account: str) -> Iterator[Path]:
    """Return an empty directory of this user's; it is removed at the end, and also after the test run was killed."""
    # Not below pytest's own directory, which only the user who runs the tests may enter.
    directory = Path(tempfile.mkdtemp(prefix=f"{account}-"))
    guardian().guard_directory(directory)
    directory.chmod(0o755)
    hand_over(directory, account)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
