"""A start that is refused: one sentence on standard error, an exit code for scripts, nothing left running."""

from __future__ import annotations

import fcntl
import os
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tools.local_service import PROGRAM

pytestmark = pytest.mark.system

REFUSED, USAGE, UNAVAILABLE = 1, 2, 3
TIMEOUT_S = 90


@dataclass
class Place:
    """Where a start is attempted, and with what."""

    root: Path
    options: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def database(self) -> Path:
        return self.state / "precache.sqlite"

    def configure(self, text: str) -> None:
        file = self.root / "precache.conf"
        file.write_text(text)
        self.options["--config-file"] = str(file)

    def start(self) -> subprocess.CompletedProcess[str]:
        """Start the service and wait until it, and whatever it started, has let go of standard error."""
        usual = {"--state-dir": str(self.state), "--images": str(self.root / "images"), "--listen": "127.0.0.1:0"}
        words = [word for option in (usual | self.options).items() for word in option]
        environment = os.environ | self.environment
        command = [str(PROGRAM), "serve", "all", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, env=environment, check=False)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    for name in ("state", "images"):
        (tmp_path / name).mkdir()
    return Place(tmp_path)


def is_refused(place: Place, code: int, *words: str) -> None:
    ended = place.start()
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert ended.stderr.startswith("precache: ")
    for word in words:
        assert word in ended.stderr
    assert (ended.returncode, ended.stdout) == (code, "")


@contextmanager
def nothing_special(place: Place) -> Iterator[None]:
    yield


@contextmanager
def port_taken(place: Place) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place.options["--listen"] = f"127.0.0.1:{taken.getsockname()[1]}"
        yield


@contextmanager
def state_dir_in_use(place: Place) -> Iterator[None]:
    with (place.state / "lock").open("a") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        yield


def given(prepare: Callable[[Place], object]) -> Callable[[Place], object]:
    """Make a circumstance of something that is done before the start."""

    @contextmanager
    def circumstance(place: Place) -> Iterator[None]:
        prepare(place)
        yield

    return circumstance


def option(name: str, value: str) -> Callable[[Place], object]:
    return given(lambda place: place.options.update({name: value.format(root=place.root)}))


def configuration(text: str) -> Callable[[Place], object]:
    return given(lambda place: place.configure(text))


def state_dir_below_a_file(place: Place) -> None:
    (place.root / "file").touch()
    place.options["--state-dir"] = str(place.root / "file" / "state")


def host_directory_is_a_file(place: Place) -> None:
    (place.state / "hosts").touch()


def newer_database(place: Place) -> None:
    with closing(sqlite3.connect(place.database)) as database:
        database.executescript(
            "create table alembic_version (version_num varchar(32)); insert into alembic_version values ('9999');"
        )


def damaged_database(place: Place) -> None:
    place.database.write_bytes(b"no database " * 1000)


def broken_policy(place: Place) -> None:
    (place.root / "policy.yaml").write_text('"precache:jobs:list": "role reader or or"\n')
    place.configure(f"[oslo_policy]\npolicy_file = {place.root}/policy.yaml\n[image_cache]\nowner = precache\n")


CASES = {
    "port taken": (port_taken, REFUSED, ("cannot listen on 127.0.0.1 port", "in use", "--listen")),
    "state directory in use": (state_dir_in_use, REFUSED, ("another precache uses it", "--state-dir")),
    "state directory below a file": (given(state_dir_below_a_file), REFUSED, ("Not a directory", "--state-dir")),
    "state directory not writable": (option("--state-dir", "/proc/precache"), REFUSED, ("/proc/precache",)),
    "host directory not usable": (given(host_directory_is_a_file), REFUSED, ("state/hosts",)),
    "images missing": (option("--images", "{root}/nowhere"), USAGE, ("--images", "not a directory; create it")),
    "everybody may connect": (option("--listen", "0.0.0.0:0"), USAGE, ("noauth", "0.0.0.0", "127.0.0.1")),
    "host without a cell": (option("--hosts", "cmp-1"), USAGE, ("'cmp-1'", "cell:host")),
    "unknown driver": (option("--hosts", "a:cmp-1:xen"), USAGE, ("cmp-1", "'xen'", "libvirt, fake or uncached")),
    "no configuration file": (option("--config-file", "{root}/nowhere"), USAGE, ("nowhere", "not a file")),
    "configuration without a shape": (configuration("host\n"), USAGE, ("precache.conf", "host")),
    "contradiction": (configuration("[DEFAULT]\nservice_down_time = 5\n"), USAGE, ("longer than report_interval",)),
    "misspelt option": (configuration("[DEFAULT]\nhots = x\n"), USAGE, ("[DEFAULT] hots", "did you mean host?")),
    "broken policy": (given(broken_policy), USAGE, ("policy.yaml", "precache:jobs:list")),
    "newer database": (given(newer_database), REFUSED, ("9999", "newer release", "backup")),
    "damaged database": (given(damaged_database), UNAVAILABLE, ("precache.sqlite", "not a database", "backup")),
}  # fmt: skip


@pytest.mark.parametrize(("circumstance", "code", "words"), CASES.values(), ids=CASES.keys())
def test_a_start_that_cannot_be_is_refused_in_one_sentence(place, circumstance, code, words):
    with circumstance(place):
        is_refused(place, code, *words)
