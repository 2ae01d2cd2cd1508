"""Placement for tests: where Nova keeps what each host has to give. A database of its own, behind uWSGI."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.lab.process import ServerFailed
from tests.lab.settings_file import write_settings
from tests.lab.uwsgi import UwsgiServer


class Placement:
    """One Placement, which has to be prepared before it is started.

    directory: ours alone, made at `prepare`. venv: where Placement and uWSGI are installed.
    login: options of Placement's own account.
    """

    def __init__(self, *, directory: Path, venv: Path, database_url: str, login: Mapping[str, object]) -> None:
        self._directory, self._venv, self._database_url = directory, venv, database_url
        self._login = login
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
        command: list[str | Path] = [self._venv / "bin" / "placement-manage", "--config-file", settings, "db", "sync"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise ServerFailed(f"placement-manage db sync failed: {done.stdout}{done.stderr}")

    def start(self) -> None:
        """Have it accept connections. Raises ServerFailed."""
        self._server.start()

    def stop(self) -> None:
        self._server.stop()
