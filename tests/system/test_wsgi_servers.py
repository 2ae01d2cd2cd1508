"""The API under uWSGI, as operators of OpenStack run their services, with processes that it forks off."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

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


def command(port: int, *options: str) -> list[str]:
    return [
        *(sys.executable, "-c", RUN),
        f"--http-socket=127.0.0.1:{port}",
        "--module=precache.wiring.wsgi:application",
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


@pytest.mark.parametrize("options", [(), ("--lazy-apps",)], ids=["before it forks", "in each process"])
def test_a_start_that_cannot_be_ends_the_server_with_one_sentence(tmp_path: Path, options: tuple[str, ...]) -> None:
    file = write_settings(tmp_path / "precache.conf", {"api": {"auth_strategy": "noauth"}})
    ended = subprocess.run(
        command(free_port(), *options),
        env=os.environ | {"PRECACHE_CONFIG_FILES": str(file)},
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT_S,
        check=False,
    )

    assert ended.returncode == CANNOT_START
    said = [line for line in ended.stderr.splitlines() if " CRITICAL " in line]
    assert said
    assert all("the API cannot start: Invalid configuration: [api] auth_strategy = noauth" in line for line in said)
    assert "Traceback" not in ended.stderr
