"""RabbitMQ for tests: a real broker on loopback, with a virtual host for each cell that a test makes up.

Everything of it lives in one directory: data, log, the cookie, the port mapper (epmd) that Erlang insists on. Run by
root it drops to the package's own user. Each worker of a parallel test run starts a broker of its own. Beside the plain
port it has one for TLS, with a certificate of an authority of its own.
"""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from tests.lab.account import directory_of, hand_over, identity
from tests.lab.certificates import EXPIRED, VALID, Authority
from tests.lab.process import ServerFailed, ServerProcess, free_port, listens
from tests.lab.server import Server

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # the one in PATH writes to /var and runs as no other user
CONTROL = Path("/usr/lib/rabbitmq/bin/rabbitmqctl")
ACCOUNT = "rabbitmq"
NAMES = ("127.0.0.1", "127.0.0.2")  # in its certificate: its own, and that of a broker that is down
USER, PASSWORD = "precache", "hush-hush"  # tests look for this password where it must not be
READY = "completed with"  # the broker's own word
AT_ONCE = 8  # virtual hosts that are made together for the tests to come

_CONFIGURATION = """\
listeners.tcp.1 = 127.0.0.1:{port}
listeners.ssl.1 = {tls_address}:{tls_port}
ssl_options.certfile = {certificate.cert}
ssl_options.keyfile = {certificate.key}
ssl_options.verify = verify_none
default_user = {user}
default_pass = {password}
loopback_users = none
disk_free_limit.absolute = 50MB
vm_memory_high_watermark.relative = 0.2
log.console = false
log.file.level = info
"""

_ERLANG = "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"
"""Listen on loopback only, and do not spin while idle: the tests need the processors."""


class RabbitMq(Server):
    """One broker with its data in `directory`, which is empty, ours alone, and one that every user may enter.

    What is not durable is gone when it is stopped.
    """

    name = "RabbitMQ"

    def __init__(self, directory: Path, tls_address: str = "127.0.0.1") -> None:
        self._directory, self._tls_address = directory, tls_address
        self.port, self.tls_port = free_port(), free_port()
        self._distribution_port, self._mapper_port = free_port(), free_port()
        self._known = {"/"}
        self._fresh: list[str] = []
        self._mapper: ServerProcess | None = None
        self._write_configuration()

    def url(self, vhost: str) -> str:
        """Return the transport URL of a virtual host, which is made when it is first asked for."""
        if vhost not in self._known:
            self._add_vhosts(vhost)
        return f"rabbit://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{'' if vhost == '/' else vhost}"

    def fresh_url(self) -> str:
        """Return the transport URL of a virtual host that no other test uses."""
        if not self._fresh:
            self._fresh = [f"cell-{uuid.uuid4().hex[:12]}" for _ in range(AT_ONCE)]
            self._add_vhosts(*self._fresh)
        return self.url(self._fresh.pop())

    def spawn(self) -> ServerProcess:
        if self._mapper is None:
            self._mapper = self._start("epmd", ["epmd", "-address", "127.0.0.1"])
            # Erlang starts one as a daemon where it finds none.
            self._mapper.wait_until(lambda: self._listens(self._mapper_port), self.start_timeout_s)
        return self._start("server", [SERVER])

    def is_ready(self) -> bool:
        return self._process is not None and READY in self._process.said()

    def tls_url(self, url: str, query: str = "") -> str:
        """Return a URL of ours with the port for TLS in place of the other, and options."""
        return url.replace(f":{self.port}/", f":{self.tls_port}/") + (f"?{query}" if query else "")

    def renew_certificate(self, valid_for: timedelta = VALID) -> None:
        """Have a new certificate, and every connection from now on see it."""
        self.authority.certificate(*NAMES, valid_for=valid_for)
        hand_over(self._directory / "tls", ACCOUNT)
        self.control("eval", "ssl:clear_pem_cache().")

    @contextmanager
    def expired_certificate(self) -> Iterator[None]:
        """Show an expired certificate, and a valid one afterwards, also where the test fails meanwhile."""
        self.renew_certificate(EXPIRED)
        try:
            yield
        finally:
            self.renew_certificate()

    def control(self, *words: str) -> str:
        """Run rabbitmqctl and return what it printed."""
        done = subprocess.run(
            [str(CONTROL), "--quiet", *words],
            env=self._environment(),
            capture_output=True,
            text=True,
            **identity(ACCOUNT),
        )
        if done.returncode != 0:
            raise ServerFailed(f"rabbitmqctl {words[0]} failed: {done.stdout}{done.stderr}")
        return done.stdout

    def close(self) -> None:
        """End it and all its helpers at once; their unfinished work is not needed."""
        super().close()
        if self._mapper is not None:
            self._mapper.kill()
            self._mapper = None

    def _listens(self, port: int) -> bool:
        return listens(port)

    def _add_vhosts(self, *vhosts: str) -> None:
        # One command for all of it, because each starts an Erlang of its own, which takes a second or more.
        names, everything = ", ".join(f'<<"{vhost}">>' for vhost in vhosts), '<<".*">>, <<".*">>, <<".*">>'
        self.control(
            "eval",
            f'[begin ok = rabbit_vhost:add(Name, <<"test">>), rabbit_auth_backend_internal:set_permissions('
            f'<<"{USER}">>, Name, {everything}, <<"test">>) end || Name <- [{names}]].',
        )
        self._known.update(vhosts)

    def _write_configuration(self) -> None:
        for name in ("data", "log", "home", "tls"):
            (self._directory / name).mkdir()
        self.authority = Authority(self._directory / "tls")
        text = _CONFIGURATION.format(
            port=self.port,
            tls_address=self._tls_address,
            tls_port=self.tls_port,
            certificate=self.authority.certificate(*dict.fromkeys((*NAMES, self._tls_address))),
            user=USER,
            password=PASSWORD,
        )
        (self._directory / "rabbitmq.conf").write_text(text)
        (self._directory / "enabled_plugins").write_text("[].\n")
        hand_over(self._directory, ACCOUNT)

    def _environment(self) -> dict[str, str]:
        here = self._directory
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(here / "home"),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._mapper_port),
            "RABBITMQ_CONFIG_FILE": str(here / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(here / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(here / "data"),
            "RABBITMQ_LOG_BASE": str(here / "log"),
            "RABBITMQ_PID_FILE": str(here / "server.pid"),
            "RABBITMQ_NODENAME": f"precache{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ERLANG,
            "RUNNING_UNDER_SYSTEMD": "1",  # then the script becomes the server, and does not stay in front of it
        }

    def _start(self, name: str, command: Sequence[str | Path]) -> ServerProcess:
        return ServerProcess(
            name=f"RabbitMQ's {name}",
            command=command,
            environment=self._environment(),
            log=self._directory / f"{name}.log",
            account=ACCOUNT,
        )


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMq]:
    """A broker that runs; a test that stops it has to start it again."""
    with directory_of(ACCOUNT) as directory:
        broker = RabbitMq(directory)
        try:
            broker.start()
            yield broker
        finally:
            broker.close()


@pytest.fixture
def cell_url(rabbitmq: RabbitMq) -> str:
    """The transport URL of a virtual host of the test's own, on a broker that runs."""
    rabbitmq.start()
    return rabbitmq.fresh_url()
