"""Placement for tests: where Nova keeps what each host has to give. A database of its own, behind uWSGI."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.lab.settings_file import write_settings
from tests.lab.venvs import NOVA
from tests.lab.wsgi_server import WsgiServer


class Placement(WsgiServer):
    """One Placement, which has to be prepared before it is started.

    directory: ours alone, made at `prepare`. login: options of Placement's own account.
    """

    def __init__(self, *, directory: Path, database_url: str, login: Mapping[str, object]) -> None:
        super().__init__(
            name="Placement",
            module="placement.wsgi.api",
            venv=NOVA,
            directory=directory,
            environment={"OS_PLACEMENT_CONFIG_DIR": str(directory)},
        )
        self._database_url, self._login = database_url, login

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
        NOVA.run("placement-manage", "--config-file", settings, "db", "sync", home=self._directory)
