"""RabbitMQ for tests: a real broker on loopback, with a virtual host for each cell that a test makes up.

Everything of it lives in one directory: data, log, the cookie, the port mapper (epmd) that Erlang insists on. Run by
root it drops to the package's own user. Each worker of a parallel test run starts a broker of its own.
"""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # the one in PATH writes to /var and runs as no other user
CONTROL = Path("/usr/lib/rabbitmq/bin/rabbitmqctl")
USER, PASSWORD = "precache", "hush-hush"  # tests look for this password where it must not be
READY = "completed with"  # the broker's own word
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30
AT_ONCE = 8  # virtual hosts that are made together for the tests to come

_CONFIGURATION = """\
listeners.tcp.1 = 127.0.0.1:{port}
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


class RabbitMqFailed(Exception):
    """It did not start, stop or obey; the text has the end of its log."""


class RabbitMq:
    """One broker, from `start` to `close`; in between it may be stopped and started on the same data and port.

    directory: empty, ours alone, and one that every user may enter.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.port, self._distribution_port, self._mapper_port = _free_ports(3)
        self._known = {"/"}
        self._fresh: list[str] = []
        self._server: subprocess.Popen[bytes] | None = None
        self._mapper: subprocess.Popen[bytes] | None = None
        self._write_configuration()

    def url(self, vhost: str) -> str:
        """Give the transport URL of a virtual host, which is made when it is first asked for."""
        if vhost not in self._known:
            self._add_vhosts(vhost)
        return f"rabbit://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{'' if vhost == '/' else vhost}"

    def fresh_url(self) -> str:
        """Give the transport URL of a virtual host that nobody else uses."""
        if not self._fresh:
            self._fresh = [f"cell-{uuid.uuid4().hex[:12]}" for _ in range(AT_ONCE)]
            self._add_vhosts(*self._fresh)
        return self.url(self._fresh.pop())

    def start(self) -> None:
        """Have it running and ready for connections."""
        if self._server is not None:
            return
        if self._mapper is None:
            self._mapper = self._spawn(["epmd", "-address", "127.0.0.1"], "epmd.log")
        self._server = self._spawn([str(SERVER)], "server.log")
        deadline = time.monotonic() + START_TIMEOUT_S
        while READY not in self._log("server.log"):
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise RabbitMqFailed(f"RabbitMQ did not start: {self._log('server.log')[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it as an administrator would; what is not durable is gone."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        self._end(signal.SIGKILL)

    def restart(self, after_s: float) -> None:
        """Stop it, leave it away for that long, and have it running again."""
        self.stop()
        time.sleep(after_s)
        self.start()

    def control(self, *words: str) -> str:
        """Run rabbitmqctl and give what it printed."""
        done = subprocess.run(
            [str(CONTROL), "--quiet", *words],
            env=self._environment(),
            capture_output=True,
            text=True,
            **_unprivileged(),
        )
        if done.returncode != 0:
            raise RabbitMqFailed(f"rabbitmqctl {words[0]} failed: {done.stdout}{done.stderr}")
        return done.stdout

    def close(self) -> None:
        """End it for good, and all that was started for it."""
        self._end(signal.SIGTERM)
        if self._mapper is not None:
            self._mapper.terminate()
            self._mapper.wait(STOP_TIMEOUT_S)
            self._mapper = None

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
        for name in ("data", "log", "home"):
            (self._directory / name).mkdir()
        text = _CONFIGURATION.format(port=self.port, user=USER, password=PASSWORD)
        (self._directory / "rabbitmq.conf").write_text(text)
        (self._directory / "enabled_plugins").write_text("[].\n")
        owner = _unprivileged()
        if owner:
            for path in (self._directory, *self._directory.iterdir()):
                os.chown(path, owner["user"], owner["group"])

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
        }

    def _spawn(self, command: list[str], log: str) -> subprocess.Popen[bytes]:
        with (self._directory / log).open("wb") as out:
            return subprocess.Popen(
                command,
                env=self._environment(),
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,  # so that the server can be killed with the Erlang machine below it
                **_unprivileged(),
            )

    def _end(self, number: signal.Signals) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        if number is signal.SIGKILL:
            os.killpg(server.pid, number)
        else:
            server.send_signal(number)
        try:
            server.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
            raise RabbitMqFailed("RabbitMQ did not stop and was killed") from None

    def _log(self, name: str) -> str:
        return (self._directory / name).read_text(errors="replace")


def _unprivileged() -> dict[str, Any]:
    """Give what makes a child process of root's run as the broker's own user; nothing for everybody else."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("rabbitmq")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMq]:
    """A broker that runs; a test that stops it has to start it again."""
    # Not below pytest's own directory, which the broker's user may not enter.
    with tempfile.TemporaryDirectory(prefix="rabbitmq-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        broker = RabbitMq(Path(name))
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
