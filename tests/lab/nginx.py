"""nginx for tests: a real one on loopback, with a configuration of ours included, all of its files in one directory."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.lab.process import ServerFailed, ServerProcess, listens

PROGRAM = "/usr/sbin/nginx"
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 10

_MAIN = """\
daemon off;
{user}
worker_processes 1;
pid {here}/nginx.pid;
error_log stderr notice;
events {{ worker_connections 256; }}
http {{
    access_log {here}/access.log;
    client_body_temp_path {here}/body;
    proxy_temp_path {here}/proxy;
    fastcgi_temp_path {here}/fastcgi;
    uwsgi_temp_path {here}/uwsgi;
    scgi_temp_path {here}/scgi;
    include {here}/conf.d/*.conf;
}}
"""


class Nginx:
    """One nginx, from `start` to `stop`.

    directory: empty and ours alone. port: where `site`, a file of the `http` block, listens.
    snippets: files that `site` includes as `snippets/<name>`, as Debian lays them out.
    """

    def __init__(self, directory: Path, *, port: int, site: str, snippets: dict[str, str]) -> None:
        self._directory, self._port = directory, port
        self._server: ServerProcess | None = None
        for name in ("conf.d", "snippets"):
            (directory / name).mkdir()
        # A worker of another user could not enter the directory of a test.
        user = "user root;" if os.geteuid() == 0 else ""
        (directory / "nginx.conf").write_text(_MAIN.format(user=user, here=directory))
        (directory / "conf.d" / "site.conf").write_text(site)
        for name, text in snippets.items():
            (directory / "snippets" / name).write_text(text)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def check(self) -> str:
        """Return what `nginx -t` says of the configuration. Raises ServerFailed if it refuses it."""
        done = subprocess.run([*self._command(), "-t"], capture_output=True, text=True, timeout=START_TIMEOUT_S)
        if done.returncode != 0:
            raise ServerFailed(f"nginx refuses its configuration: {done.stderr}")
        return done.stderr

    def start(self) -> None:
        """Have it running and ready for connections."""
        log = self._directory / "server.log"
        self._server = ServerProcess(name="nginx", command=self._command(), environment=os.environ, log=log)
        self._server.wait_until(lambda: listens(self._port), START_TIMEOUT_S)

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop(STOP_TIMEOUT_S)

    def _command(self) -> list[str]:
        return [PROGRAM, "-p", str(self._directory), "-c", "nginx.conf", "-e", "stderr"]
