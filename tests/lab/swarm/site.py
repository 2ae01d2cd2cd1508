"""A site: an image service, and hosts behind links of a fixed rate, each a process that can be killed alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from precache.core.cache_entries import entry_name
from precache.core.images import parse_image_id
from precache.core.relays import MemberState, Relay
from tests.lab.network import Machine
from tests.lab.swarm.calls import CallFailed, call
from tests.lab.swarm.host import HostResult
from tests.lab.swarm.hosts import CONDUCTOR_SOCKET, HOST_SOCKET, INSTANCES, JOB, SITE, SITE_FILE, HostPlace
from tests.lab.swarm.origin import LOG
from tests.namespaces import ShapedNetwork
from tests.waiting import wait_until

ROOT = Path(__file__).parents[3]
MOST_AT_ONCE = 256


class Site:
    """The running site. folder: with a short path, because it holds sockets. images: by file name, their ids."""

    def __init__(self, network: ShapedNetwork, folder: Path, url: str, images: dict[str, str], forks: Forks) -> None:
        self.network, self.folder, self.images = network, folder, images
        self._url, self._forks = url, forks
        self._pids: dict[str, int] = {}
        self._conductor: subprocess.Popen[str] | None = None
        self._pool = ThreadPoolExecutor(MOST_AT_ONCE)

    def start(self, *names: str, **settings: Any) -> None:
        """Start these hosts, and wait until they answer. One that was killed before has its files again.

        settings: fields of `HostPlace`.
        """
        for name in names:
            machine = self.network.hosts[name]
            place = HostPlace(
                name=name,
                address=machine.address,
                folder=str(self.folder / name),
                namespace=machine.pid,
                image_service=self._url,
                conductor=str(self.folder / CONDUCTOR_SOCKET) if self._conductor else "",
                **settings,
            )
            self._socket(name).unlink(missing_ok=True)
            self._pids[name] = self._forks.fork(place)
        for name in names:
            wait_until(self._socket(name).exists)

    def start_conductor(self, sites: dict[str, str] | None = None) -> None:
        """Start the conductor, before the hosts, or again after it was killed. sites: of hosts that are in others."""
        hosts = dict.fromkeys(self.network.hosts, SITE) | (sites or {})
        known = {"hosts": hosts, "images": list(self.images.values())}
        (self.folder / SITE_FILE).write_text(json.dumps(known))
        with (self.folder / "conductor.log").open("ab") as log:
            self._conductor = subprocess.Popen(
                [sys.executable, "-m", "tests.lab.swarm.conductor", self.folder],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._conductor.stdout is not None
        assert self._conductor.stdout.readline() == "ready\n", (self.folder / "conductor.log").read_text()

    @property
    def has_conductor(self) -> bool:
        return self._conductor is not None

    def kill_conductor(self) -> None:
        if self._conductor is not None:
            self._conductor.kill()
            self._conductor.communicate()

    def plan(self, image: str) -> Relay:
        """Return the plan of the relay of this image, as the conductor has stored it."""
        found: list[Relay] = call(self.folder / CONDUCTOR_SOCKET, "relays")
        return next(relay for relay in found if relay.key.image == self.images[image])

    def chain(self, image: str) -> list[str]:
        """Return the hosts from the one that fetches or has the image along their first children; empty before."""
        try:
            members = self.plan(image).members
        except StopIteration:
            return []
        there = [member for member in members if member.state is not MemberState.LEFT]
        children = {member.parent: member.host for member in reversed(there) if member.parent}
        found = [member.host for member in there if member.is_origin][:1]
        while found and children.get(found[-1], found[0]) not in found:
            found.append(children[found[-1]])
        return found

    def middle_of_chain(self, image: str) -> tuple[str, str]:
        """Return a host in the middle of the chain, and its child, when all hosts that run have their places."""
        wait_until(lambda: len(self.chain(image)) == len(self._pids))
        found = self.chain(image)
        return found[len(found) // 2], found[len(found) // 2 + 1]

    def wait_for_bytes(self, name: str, count: int) -> None:
        """Wait until the host has so many bytes of the image that it caches now."""
        wait_until(lambda: self.ask(name, "bytes_done") >= count)

    def message_count(self) -> int:
        """Return how many messages the conductor has had of hosts since it was started."""
        return int(call(self.folder / CONDUCTOR_SOCKET, "message_count"))

    def kill(self, *names: str) -> None:
        """End the processes of these hosts at once, with the tools that they run."""
        for name in names:
            with suppress(ProcessLookupError):
                os.killpg(self._pids.pop(name), signal.SIGKILL)

    def begin(self, names: Iterable[str], image: str, **options: Any) -> dict[str, Future[HostResult]]:
        """Tell these hosts to cache the image, and return their results to come.

        A host that is killed meanwhile raises CallFailed.
        """
        return {
            name: self._pool.submit(call, self._socket(name), "cache", self.images[image], options, JOB)
            for name in names
        }

    def cache(self, names: Iterable[str], image: str, timeout_s: float, **options: Any) -> list[HostResult]:
        """Tell these hosts to cache the image, and return the results when all have it."""
        begun = self.begin(names, image, **options)
        return results_of(begun, timeout_s)

    def ask(self, name: str, method: str, *words: Any) -> Any:
        return call(self._socket(name), method, *words)

    def entries(self, name: str) -> list[Path]:
        """Return the images that the host has published."""
        cache = self.folder / name / INSTANCES / "_base"
        return [path for path in cache.iterdir() if path.is_file() and len(path.name) == 40] if cache.exists() else []

    def entry(self, name: str, image: str) -> Path:
        """Return where the host publishes this image."""
        return self.folder / name / INSTANCES / "_base" / entry_name(parse_image_id(self.images[image]))

    def log(self, name: str) -> str:
        return (self.folder / name / "log").read_text()

    def origin_bytes(self, image: str) -> int:
        """Return how many bytes of this image the image service has sent, over all hosts; ended requests only."""
        log = self.folder / LOG
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        paths = tuple(f"{self.images[image]}/{data}" for data in ("file", "pieces"))
        return sum(line["bytes_sent"] for line in lines if line["path"].endswith(paths))

    def close(self) -> None:
        self.kill(*self._pids)
        self.kill_conductor()
        self._pool.shutdown(wait=True)

    def _socket(self, name: str) -> Path:
        return self.folder / name / HOST_SOCKET


def results_of(begun: dict[str, Future[HostResult]], timeout_s: float) -> list[HostResult]:
    """Return the results of hosts that were not killed. Raises AssertionError if one has none in time."""
    _, running = wait(begun.values(), timeout_s)
    assert not running, f"not done after {timeout_s} s: {[name for name, each in begun.items() if each in running]}"
    done = []
    for each in begun.values():
        with suppress(CallFailed):
            done.append(each.result())
    return done


class Forks:
    """The process that makes the hosts."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.lab.swarm.hosts"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._guard = threading.Lock()
        assert self._read() == "ready"

    def fork(self, place: HostPlace) -> int:
        """Start a host, and return its process."""
        with self._guard:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(asdict(place)) + "\n")
            self._process.stdin.flush()
            return int(self._read())

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def site(network: ShapedNetwork, folder: Path, images: Path, forks: Forks) -> Iterator[Site]:
    """Run the image service with all images of this directory; hosts are started by `Site.start`."""
    with ExitStack() as stack:
        url, ids = _start_origin(network.origin, folder, images, stack)
        running = Site(network, folder, url, ids, forks)
        stack.callback(running.close)
        yield running


def _start_origin(origin: Machine, folder: Path, images: Path, stack: ExitStack) -> tuple[str, dict[str, str]]:
    process = subprocess.Popen(
        [*origin.inside, sys.executable, "-m", "tests.lab.swarm.origin", images, folder, origin.address],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    assert process.stdout is not None
    started = json.loads(process.stdout.readline())
    return started["url"], started["ids"]
