"""Nova for tests: API, conductor and scheduler of one cell, behind which real nova-computes boot real guests.

Only Neutron is not there (`neutron_stub.py`): instances are made with `--nic none`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.lab.process import ServerProcess
from tests.lab.settings_file import write_settings
from tests.lab.venvs import NOVA
from tests.lab.wsgi_server import WsgiServer

DISCOVERY_INTERVAL_S = 2


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What Nova stands on. new_database: makes an empty database and gives its URL.

    login: options of Nova's own account, an administrator. image_url: its image service.
    """

    new_database: Callable[[], str]
    transport_url: str
    login: Mapping[str, object]
    image_url: str
    placement_url: str
    network_url: str

    def settings(self, state: Path) -> dict[str, dict[str, object]]:
        """Return the sections that all processes of Nova share; the caller adds further ones and writes the file."""
        login = dict(self.login)
        return {
            "DEFAULT": {
                "transport_url": self.transport_url,
                "my_ip": "127.0.0.1",
                "state_path": state,
                "log_dir": state,
                "vif_plugging_is_fatal": False,
                "vif_plugging_timeout": 0,
            },
            "api": {"auth_strategy": "keystone"},
            "keystone_authtoken": {"www_authenticate_uri": login["auth_url"], **login},
            "service_user": {"send_service_user_token": True, **login},
            "glance": {"endpoint_override": self.image_url},
            "placement": {"endpoint_override": self.placement_url, **login},
            "neutron": {"endpoint_override": self.network_url, **login},
            "cinder": login,
            "oslo_concurrency": {"lock_path": state / "lock"},
            "oslo_messaging_notifications": {"driver": "noop"},
            "conductor": {"workers": 1},
            "scheduler": {"workers": 1, "discover_hosts_in_cells_interval": DISCOVERY_INTERVAL_S},
        }


class Nova:
    """The control plane of one cell, which has to be prepared before it is started.

    directory: ours alone, made at `prepare`.
    """

    def __init__(self, *, directory: Path, surroundings: Surroundings) -> None:
        self._directory, self._around = directory, surroundings
        self._api_database, self._database, self._cell0 = (surroundings.new_database() for _ in range(3))
        self._settings = directory / "nova.conf"
        self._workers: list[ServerProcess] = []
        self._api = WsgiServer(
            name="nova-api",
            module="nova.wsgi.osapi_compute",
            venv=NOVA,
            directory=directory,
            environment={"OS_NOVA_CONFIG_DIR": str(directory)},
        )

    @property
    def url(self) -> str:
        """The endpoint of its API, without project."""
        return f"{self._api.url}/v2.1"

    def prepare(self) -> None:
        """Write its configuration, make its tables and its cell. Raises ServerFailed."""
        self._directory.mkdir(parents=True)
        databases: Mapping[str, dict[str, object]] = {
            "api_database": {"connection": self._api_database},
            "database": {"connection": self._database},
        }
        write_settings(self._settings, {**self._around.settings(self._directory), **databases})
        source = NOVA.path / "etc" / "nova" / "api-paste.ini"
        (self._directory / "api-paste.ini").write_text(source.read_text())
        cell0 = write_settings(self._directory / "cell0.ini", {"database": {"connection": self._cell0}})
        with ThreadPoolExecutor(2) as pool:
            steps = [
                pool.submit(self._manage, "api_db", "sync"),
                pool.submit(self._manage, "db", "sync", "--local_cell"),
                pool.submit(self._manage, "db", "sync", "--local_cell", also=cell0),
            ]
            for step in steps:
                step.result()
        self._manage("cell_v2", "map_cell0", "--database_connection", self._cell0)
        self._manage("cell_v2", "create_cell", "--name", "cell1")

    def start_workers(self) -> None:
        """Begin to start conductor and scheduler; computes wait for them."""
        for name in ("nova-conductor", "nova-scheduler"):
            self._workers.append(
                ServerProcess(
                    name=name,
                    command=[NOVA.program(name), "--config-file", self._settings],
                    environment=NOVA.variables(self._directory),
                    log=self._directory / f"{name}.out",
                )
            )

    def start_api(self) -> None:
        """Have the API accept connections. Raises ServerFailed."""
        self._api.start()

    def stop(self) -> None:
        """End all processes at once; their unfinished work is not needed."""
        for worker in self._workers:
            worker.kill()
        self._api.close()

    def _manage(self, *words: str, also: Path | None = None) -> None:
        """Run nova-manage; `also` is a further configuration file, whose options win."""
        files = [f"--config-file={file}" for file in (self._settings, also) if file is not None]
        NOVA.run("nova-manage", *files, *words, home=self._directory)
