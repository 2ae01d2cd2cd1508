"""The API under uWSGI, as operators of OpenStack run their services, with processes that it forks off."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from precache.adapters.jobs_sql import SqlJobIntake
from precache.adapters.sql import open_database
from tests.contract.job_values import job_id, new_job
from tests.http.event_reader import EventReader, readers  # noqa: F401  a fixture
from tests.lab.cloud import Cloud
from tests.lab.process import ServerProcess, free_port, listens
from tests.lab.settings_file import write_settings
from tests.lab.venvs import CLOUD

pytestmark = [pytest.mark.system, pytest.mark.external]

# The server is a module in the cloud's environment, the application one in ours.
RUN = f"""
import sys
sys.path.append({str(CLOUD.path / "lib" / "python{}.{}".format(*sys.version_info) / "site-packages")!r})
import pyuwsgi
del sys.path[-1]
pyuwsgi.run(sys.argv[1:])
"""
START_TIMEOUT_S = 60
CANNOT_START = 22
REQUESTS = 60


def command(port: int, *options: str, module: str = "precache.wiring.wsgi") -> list[str]:
    return [
        *(sys.executable, "-c", RUN),
        f"--http-socket=127.0.0.1:{port}",
        f"--module={module}:application",
        *("--master", "--processes=2", "--threads=4", "--enable-threads", "--need-app", "--die-on-term"),
        *("--no-orphans", "--buffer-size=65535", "--add-header=Connection: close"),
        *options,
    ]


def configuration(file: Path, cloud: Cloud, database_url: str) -> Path:
    return write_settings(
        file,
        {
            "database": {"connection": database_url},
            "service_user": cloud.keystone.login(cloud.precache),
            "keystone_authtoken": {"auth_section": "service_user"},
        },
    )


@pytest.fixture
def served(cloud: Cloud, mariadb_url: str, tmp_path: Path) -> Iterator[str]:
    """The URL of an API in two processes, which were forked off after the application had been loaded."""
    file, port = configuration(tmp_path / "precache.conf", cloud, mariadb_url), free_port()
    environment = os.environ | {"PRECACHE_CONFIG_FILES": str(file)}
    process = ServerProcess(name="uWSGI", command=command(port), environment=environment, log=tmp_path / "uwsgi.log")
    try:
        process.wait_until(lambda: listens(port), START_TIMEOUT_S)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.stop(10)


def test_processes_that_were_forked_off_share_no_connection(cloud: Cloud, served: str, tmp_path: Path) -> None:
    headers = {"X-Auth-Token": cloud.keystone.token(cloud.admin)}

    def ask(_number: int) -> int:
        return requests.get(f"{served}/v1/jobs", headers=headers, timeout=30).status_code

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(REQUESTS)))

    log = (tmp_path / "uwsgi.log").read_text()
    assert answers == [200] * REQUESTS
    assert "Traceback" not in log
    assert len({line.split("|")[0] for line in log.splitlines() if line.startswith("[pid: ")}) == 2


def test_events_are_sent_from_the_threads_of_another_server(
    cloud: Cloud,
    served: str,
    mariadb_url: str,
    tmp_path: Path,
    readers: Callable[..., EventReader],  # noqa: F811
) -> None:
    database = open_database(mariadb_url)
    SqlJobIntake(database=database).add(new_job(1))
    database.close()
    headers = {"X-Auth-Token": cloud.keystone.token(cloud.admin)}
    path = f"/v1/jobs/{job_id(1)}"

    following = [readers(served, f"{path}/events", headers=headers) for _ in range(3)]
    assert {reader.next().name for reader in following} == {"snapshot"}
    assert requests.post(f"{served}{path}/cancel", headers=headers, timeout=30).ok

    for reader in following:
        assert reader.until("end")[-1].data["state"] == "cancelled"
        assert reader.next() is None
    assert "Traceback" not in (tmp_path / "uwsgi.log").read_text()


def run_to_its_end(file: Path, command: list[str], **environment: str) -> str:
    """Return what a server that cannot start has said on standard error."""
    ended = subprocess.run(
        command,
        env=os.environ | {"PRECACHE_CONFIG_FILES": str(file)} | environment,
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT_S,
        check=False,
    )
    assert ended.returncode == CANNOT_START
    return ended.stderr


@pytest.fixture
def refused(tmp_path: Path) -> Path:
    """A configuration that is refused."""
    return write_settings(tmp_path / "precache.conf", {"api": {"auth_strategy": "noauth"}})


@pytest.mark.parametrize("options", [(), ("--lazy-apps", "--processes=1")], ids=["before it forks", "in each process"])
def test_a_start_that_cannot_be_ends_the_server_with_one_sentence(refused: Path, options: tuple[str, ...]) -> None:
    said = run_to_its_end(refused, command(free_port(), *options))

    critical = [line for line in said.splitlines() if " CRITICAL " in line]
    assert critical
    assert all("the API cannot start: Invalid configuration: [api] auth_strategy = noauth" in line for line in critical)
    assert "Traceback" not in said


# The first process goes on when the second one is amid its imports, and waits there to be interrupted.
SECOND_WAITS = """
import os, signal, sys, uwsgi

class Wait:
    def find_spec(self, name, path, target=None):
        if name == "precache.config.load":
            os.open(os.environ["FIFO"], os.O_RDONLY)
            signal.pause()

if uwsgi.worker_id() == 2:
    sys.meta_path.insert(0, Wait())
else:
    os.open(os.environ["FIFO"], os.O_WRONLY)
from precache.wiring.wsgi import application
"""


def test_a_process_that_is_interrupted_in_its_start_because_another_cannot_says_nothing(
    refused: Path, tmp_path: Path
) -> None:
    (tmp_path / "second_waits.py").write_text(SECOND_WAITS)
    os.mkfifo(fifo := tmp_path / "fifo")
    options = ("--lazy-apps", f"--pythonpath={tmp_path}")

    said = run_to_its_end(refused, command(free_port(), *options, module="second_waits"), FIFO=str(fifo))

    assert said.count(" CRITICAL ") == 1
    assert "destroying the instance" in said
    assert "Traceback" not in said
