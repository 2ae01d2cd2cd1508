"""Placement for tests: where Nova keeps what each host has to give. A database of its own, behind uWSGI."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.lab.process import ServerFailed
from tests.lab.settings_file import keystone_login, write_settings
from tests.lab.uwsgi import UwsgiServer

STOP_PATIENCE_S = 5


class Placement:
    """One Placement. directory: ours alone, made at `prepare`. venv: where Placement and uWSGI are installed.

    auth_url, password: the Keystone that knows a user `placement` of the project `service`, and its password.
    """

    def __init__(self, *, directory: Path, venv: Path, database_url: str, auth_url: str, password: str) -> None:
        self._directory, self._venv, self._database_url = directory, venv, database_url
        self._login = keystone_login(auth_url=auth_url, username="placement", password=password)
        self._server = UwsgiServer(
            name="placement",
            module="placement.wsgi.api",
            venv=venv,
            environment={"OS_PLACEMENT_CONFIG_DIR": str(directory)},
            log=directory / "placement.out",
        )

    @property
    def url(self) -> str:
        return self._server.url

    def prepare(self) -> None:
        """Write its configuration and make its tables. Raises ServerFailed."""
        self._directory.mkdir(parents=True)
        settings = write_settings(
            self._directory / "placement.conf",
            {
                "DEFAULT": {"log_file": self._directory / "placement.log"},
                "placement_database": {"connection": self._database_url},
                "api": {"auth_strategy": "keystone"},
                "keystone_authtoken": {"www_authenticate_uri": self._login["auth_url"], **self._login},
            },
        )
        command = [self._venv / "bin" / "placement-manage", "--config-file", settings, "db", "sync"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise ServerFailed(f"placement-manage db sync failed: {done.stdout}{done.stderr}")

    def start(self) -> None:
        """Begin to start it; `wait` waits until it answers."""
        self._server.start()

    def wait(self) -> None:
        self._server.wait()

    def stop(self) -> None:
        self._server.stop(STOP_PATIENCE_S)
