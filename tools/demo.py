"""Demonstrates pre-caching on one machine: one request fills the image caches of many hosts; boots then download
nothing.

    python -m tools.demo [--image FILE] [--boot]

Six hosts in two cells: four that cache, one whose driver cannot, one that is down. Everything is real: the disk image,
the service, the caches, the disks. It writes below var/demo and listens on loopback only.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tools.boot_disk import DidNotBoot, boot
from tools.build_image import GREETING, Disk, kept_image
from tools.local_service import LocalService, ServiceFailed

HOSTS = "cell1:cmp-1,cell1:cmp-2,cell1:cmp-3,cell2:cmp-4,cell2:cmp-5:uncached,cell2:cmp-6"
CACHING = ("cmp-1", "cmp-2", "cmp-3", "cmp-4")
NO_CACHE = "cmp-5"
DOWN = "cmp-6"
ALL = (*CACHING, NO_CACHE, DOWN)
AGGREGATE = "edge"
PARTLY_FAILED = 4  # the exit code of a partly failed job
HOUR_S = 3600
DISK = Disk(size_mib=448, payload_mib=320)  # large enough to show the progress

console = Console(highlight=False, soft_wrap=True)


class Demo:
    """The demonstration; each method is one step and stores its result for the closing table."""

    def __init__(self, *, image: Path, work: Path) -> None:
        self._state = work / "state"
        self._disks = work / "disks"
        images = work / "images"
        for directory in (self._state, self._disks, images):
            directory.mkdir(parents=True)
        self._file = images / image.name
        shutil.copyfile(image, self._file)
        old = (
            time.time() - HOUR_S
        )  # the image service does not offer a file that may still be written; this one is complete
        os.utime(self._file, (old, old))
        self._service = LocalService(state=self._state, images=images, hosts=HOSTS)
        self._image: dict[str, Any] = {}
        self._first: dict[str, dict[str, Any]] = {}
        self._second: dict[str, dict[str, Any]] = {}
        self._boot_requests: dict[str, int] = {}

    def run(self) -> None:
        try:
            self._start()
            self._gather_hosts()
            self._precache()
            self._precache_again()
            self._create_disks()
        finally:
            self._service.stop()

    def overlay(self, host: str) -> Path:
        return self._disks / f"{host}.qcow2"

    def _start(self) -> None:
        scene("The whole service in one process: API, conductor, six computes in two cells, an image service")
        command(self._service.command)
        self._service.start({"OS_IMAGE_CACHE__PRECACHE_CONCURRENCY": "3"})
        console.print(f"[green]$ export PRECACHE_URL={self._service.url}[/green]")
        listed = self._service.run("image", "list")
        self._image = next(image for image in listed if image["name"] == self._file.stem)
        console.print(f"It answers at {self._service.url}. Its image service offers {self._image['name']}, ", end="")
        console.print(f"{self._file.stat().st_size / 1e6:.0f} MB of {self._image['disk_format']}.")

    def _gather_hosts(self) -> None:
        scene(f"An aggregate of all six hosts; {DOWN} is taken down, {NO_CACHE}'s driver keeps no cache")
        command(["precache", "aggregate", "create", AGGREGATE])
        self._service.quietly("aggregate", "create", AGGREGATE)
        for host in ALL:
            self._service.quietly("aggregate", "add", "host", AGGREGATE, host)
        command(["precache", "aggregate", "add", "host", AGGREGATE, "cmp-1"])
        command(["precache", "host", "set", DOWN, "--down"])
        self._service.quietly("host", "set", DOWN, "--down")
        self._service.run("host", "list", shows=True)

    def _precache(self) -> None:
        scene("The request that Nova's clients send, and its result")
        job = self._send_request()
        command(["precache", "job", "show", job, "--wait", "--all"])
        self._service.run("job", "show", job, "--wait", "--all", shows=True, accepts=(PARTLY_FAILED,))
        self._first = self._tasks(job)
        for host in CACHING:
            expect(self._first[host]["outcome"] == "cached", f"{host} was to cache the image")
        expect(self._first[DOWN]["outcome"] == "skipped", f"{DOWN} was to be skipped")
        expect(self._first[NO_CACHE]["outcome"] == "unsupported", f"{NO_CACHE} was to be unsupported")

    def _precache_again(self) -> None:
        scene("The same request an hour later (the entries' times are set back): no download, the expiry starts again")
        entries = [entry for host in CACHING for entry in self._entries(host)]
        for entry in entries:
            os.utime(entry, (time.time() - HOUR_S, time.time() - HOUR_S))
        before = self._data_requests()
        job = self._send_request()
        self._service.run("job", "show", job, "--wait", accepts=(PARTLY_FAILED,))
        self._second = self._tasks(job)
        for host in CACHING:
            expect(self._second[host]["outcome"] == "existing", f"{host} was to have the image")
        expect(self._data_requests() == before, "no data was to be asked for")
        oldest = max(time.time() - entry.stat().st_mtime for entry in entries)
        expect(oldest < HOUR_S / 2, "the expiry was to start anew")
        console.print(f"Data requests to the image service: {before} before, {self._data_requests()} after. ", end="")
        console.print(f"Time since last use: one hour before, {oldest:.1f} s after.")

    def _create_disks(self) -> None:
        scene(f"An instance's root disk on each host with a cache, and on {DOWN}, which was not pre-cached")
        for host in (*CACHING, DOWN):
            path = str(self._state / "hosts" / host / "instances")
            words = ["disk", "create", "--image", self._image["id"], "--path", str(self.overlay(host))]
            words += ["--instances-path", path]
            if host in (CACHING[0], DOWN):
                command(["precache", *words])
            before = self._data_requests()
            disk = self._service.run(*words)
            self._boot_requests[host] = self._data_requests() - before
            console.print(f"{host}: image was {disk['image_was']}, data requests: {self._boot_requests[host]}")
        expect(all(self._boot_requests[host] == 0 for host in CACHING), "no boot was to ask for data")
        expect(self._boot_requests[DOWN] == 1, f"the boot on {DOWN} was to download the image")

    def table(self) -> Table:
        table = Table(title="The effect of the one request")
        for heading in ("host", "1st request", "bytes", "2nd request", "bytes", "data requests by a boot"):
            table.add_column(heading, justify="right" if heading == "bytes" else "left")
        for host in ALL:
            first, second = self._first[host], self._second[host]
            requests = self._boot_requests.get(host)
            table.add_row(
                host, first["outcome"], str(first["bytes_done"]), second["outcome"], str(second["bytes_done"]),
                "-" if requests is None else str(requests),
            )  # fmt: skip
        return table

    def next_commands(self) -> list[str]:
        serve = [".venv/bin/precache", *self._service.command[1:-1], "127.0.0.1:8775"]
        return [
            shlex.join(serve) + " &",
            f".venv/bin/precache aggregate cache image {AGGREGATE} {shlex.quote(self._image['name'])} --wait",
            ".venv/bin/precache job list",
        ]

    def _send_request(self) -> str:
        aggregate = self._service.run("aggregate", "show", AGGREGATE)["id"]
        path = f"/compute/v2.1/os-aggregates/{aggregate}/images"
        body = {"cache": [{"id": self._image["id"]}]}
        console.print(f"[bold]POST {path}[/bold]   OpenStack-API-Version: compute 2.81   {body}")
        status, headers = self._service.post(path, body, {"OpenStack-API-Version": "compute 2.81"})
        job = headers["X-Precache-Job-Id"]
        console.print(f"-> {status}, X-Precache-Job-Id: {job}")
        return job

    def _tasks(self, job: str) -> dict[str, dict[str, Any]]:
        return {task["host"]: task for task in self._service.get(f"/v1/jobs/{job}/tasks")["tasks"]}

    def _data_requests(self) -> int:
        counts: dict[str, int] = self._service.get("/image/requests")["data_requests"]
        return counts.get(self._image["id"], 0)

    def _entries(self, host: str) -> list[Path]:
        cache = self._state / "hosts" / host / "instances" / "_base"
        return [file for file in cache.iterdir() if "." not in file.name]


def scene(title: str) -> None:
    console.print(f"\n[bold cyan]== {title}[/bold cyan]")


def command(words: list[str]) -> None:
    console.print(f"[green]$ {shlex.join(words)}[/green]")


def expect(holds: bool, what: str) -> None:
    if not holds:
        raise ServiceFailed(f"the demonstration went wrong: {what}")


def boot_one(disk: Path, *, is_ours: bool) -> None:
    scene("Boot one of these disks under qemu, without KVM")
    result = boot(disk, expect=GREETING if is_ours else "login:")
    console.print(f"After {result.seconds:.1f} s its console says: {result.line}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Fill the image caches of six hosts from one request and watch it.")
    parser.add_argument("--image", metavar="FILE", type=Path, help="a disk image of yours (default: one is built)")
    parser.add_argument("--boot", action="store_true", help="boot one of the disks at the end")
    arguments = parser.parse_args()
    began = time.monotonic()
    work = Path("var/demo").absolute()
    try:
        if arguments.image is not None and not arguments.image.is_file():
            raise ServiceFailed(f"{arguments.image} is not a file; give a disk image such as disk.qcow2")
        shutil.rmtree(work, ignore_errors=True)
        scene("A real disk image: Debian's kernel and a shell, made bootable without root, loop device or mount")
        demo = Demo(image=arguments.image or kept_image(DISK, say=console.print), work=work)
        demo.run()
        if arguments.boot:
            boot_one(demo.overlay(CACHING[0]), is_ours=arguments.image is None)
    except (ServiceFailed, DidNotBoot) as error:
        console.print(f"[red]{error}[/red]")
        return 1
    except KeyboardInterrupt:
        return 130
    console.print()
    console.print(demo.table())
    console.print(f"Total time: {time.monotonic() - began:.0f} s. Try next:")
    for line in demo.next_commands():
        console.print(f"  {line}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
