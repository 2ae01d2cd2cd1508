"""RabbitMQ on the controller of a site (`network.py`): TLS on the bridge, all else on the namespace's own loopback."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.lab.network import Machine
from tests.lab.process import ServerFailed, ServerProcess
from tests.lab.rabbitmq import ACCOUNT, CONTROL, PASSWORD, USER, RabbitMq


class SiteRabbitMq(RabbitMq):
    """One broker that the machines of a site reach over TLS at the controller's address."""

    def __init__(self, directory: Path, controller: Machine) -> None:
        self._machine = controller
        super().__init__(directory, tls_address=controller.address)

    def url(self, vhost: str) -> str:
        super().url(vhost)  # makes it
        cafile = self.authority.cafile
        place = f"{self._machine.address}:{self.tls_port}/{vhost}"
        return f"rabbit://{USER}:{PASSWORD}@{place}?ssl=1&ssl_ca_file={cafile}"

    def control(self, *words: str) -> str:
        done = subprocess.run(
            self._there([CONTROL, "--quiet", *words]), env=self._environment(), capture_output=True, text=True
        )
        if done.returncode != 0:
            raise ServerFailed(f"rabbitmqctl {words[0]} failed: {done.stdout}{done.stderr}")
        return done.stdout

    def _listens(self, port: int) -> bool:
        return self._machine.listens("127.0.0.1", port)

    def _start(self, name: str, command: Sequence[str | Path]) -> ServerProcess:
        return ServerProcess(
            name=f"RabbitMQ's {name}",
            command=self._there(command),
            environment=self._environment(),
            log=self._directory / f"{name}.log",
        )

    def _there(self, command: Sequence[str | Path]) -> list[str | Path]:
        drop = ["setpriv", f"--reuid={ACCOUNT}", f"--regid={ACCOUNT}", "--clear-groups"]
        return [*self._machine.inside, *drop, *command]
