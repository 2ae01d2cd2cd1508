"""The embedded service in a process of its own, for demonstrations and tests: started as by a user, used through its
command line and plain HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PROGRAM = Path(sys.executable).with_name("precache")
START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 20


class ServiceFailed(Exception):
    """The service or a command failed; the text says what failed and where to look."""


class LocalService:
    """One `precache serve all`, from `start` to `stop`, with its log in `state/serve.log`.

    inside: a prefix of the command line: a program that runs the service, such as `unshare --mount`.
    """

    def __init__(self, *, state: Path, images: Path, hosts: str, inside: Sequence[str] = ()) -> None:
        self.state, self._images, self._hosts, self._inside = state, images, hosts, inside
        self._log = state / "serve.log"
        self._log_start = 0
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    @property
    def command(self) -> list[str]:
        """Return the command line of the service, as a user would type it."""
        return [
            "precache", "serve", "all", "--state-dir", str(self.state), "--images", str(self._images),
            "--hosts", self._hosts, "--listen", "127.0.0.1:0",
        ]  # fmt: skip

    @property
    def log(self) -> str:
        """Return the log since the last start."""
        return self.whole_log[self._log_start :]

    @property
    def whole_log(self) -> str:
        """Return the log since the first start."""
        return self._log.read_text() if self._log.exists() else ""

    @property
    def pid(self) -> int:
        return self._running().pid

    def start(self, environment: Mapping[str, str]) -> None:
        """Start it and wait until it prints its URL. environment: added to that of this process."""
        self.state.mkdir(parents=True, exist_ok=True)
        self._log_start = len(self.whole_log)
        command = [*self._inside, str(PROGRAM), *self.command[1:]]
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, text=True, env={**os.environ, **environment}
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            said = [line for line in self.log.splitlines() if line.startswith("Precache answers at ")]
            if said:
                self.url = said[0].split()[3]
                return
            time.sleep(0.05)
        raise ServiceFailed(f"the service did not start; the end of {self._log}:\n{self.log[-2000:]}")

    def kill(self) -> None:
        """End it as a power cut would."""
        self._running().kill()
        self._running().wait()

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        """End it as Ctrl-C would, and return its exit code; 0 if it was never started."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(how)
        return self.wait()

    def wait(self) -> int:
        """Return the exit code of a service that was told to end. Raises ServiceFailed if it does not."""
        try:
            return self._running().wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServiceFailed(f"the service did not end within {STOP_TIMEOUT_S} s; its log is {self._log}") from None

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise ServiceFailed("the service was not started")
        return self._process

    def run(self, *words: str, shows: bool = False, accepts: Sequence[int] = (0,)) -> Any:
        """Run one `precache` command; return its result as JSON, or let it write to the terminal."""
        line = [str(PROGRAM), "--url", self.url, *words]
        if shows:
            code = subprocess.run(line, check=False).returncode
            answer = None
        else:
            done = subprocess.run([*line, "-f", "json"], check=False, capture_output=True, text=True)
            code, answer = done.returncode, json.loads(done.stdout or "null")
            if code not in accepts:
                sys.stderr.write(done.stderr)
        if code not in accepts:
            raise ServiceFailed(f"`precache {' '.join(words)}` ended with {code}; the service's log is {self._log}")
        return answer

    def quietly(self, *words: str) -> None:
        """Run a `precache` command that has no result."""
        done = subprocess.run([str(PROGRAM), "--url", self.url, *words], check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise ServiceFailed(f"`precache {' '.join(words)}` ended with {done.returncode}: {done.stderr}")

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return json.load(answer)

    def post(self, path: str, body: object, headers: dict[str, str]) -> tuple[int, Mapping[str, str]]:
        """Send JSON; return status and headers of the answer."""
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"} | headers
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers
