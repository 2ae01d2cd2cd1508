"""Wrong bytes in the caches of a running service: what an operator is told, and what is in the cache afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from precache.cli.exit_codes import ExitCode
from tests.system.conftest import random_raw
from tests.system.operating import cache_of, entry, ids, tasks
from tests.waiting import wait_until
from tools.local_service import LocalService

pytestmark = pytest.mark.system

FAILED = (ExitCode.FAILED,)


def flip(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))


def task_of(service: LocalService, *words: str) -> dict[str, str]:
    """Run the command on cmp-1, which must fail, and return the task."""
    job = service.run(*words, "--host", "cmp-1", "--wait", accepts=FAILED)
    (task,) = tasks(service, job["id"]).values()
    return task


def test_wrong_bytes_are_moved_aside_or_an_alarm_that_names_the_disk(new_service, images, tmp_path):
    for name in ("used", "pinned"):
        random_raw(images / f"{name}.raw", 4)
    service = new_service("cell1:cmp-1")
    # Pinned images are looked at with half of this interval.
    settings = {"OS_DEFAULT__REPORT_INTERVAL": "1", "OS_IMAGE_CACHE__REMOVE_UNUSED_ORIGINAL_MINIMUM_AGE_SECONDS": "4"}
    service.start(settings)
    known, instances = ids(service), cache_of(service, "cmp-1").parent
    on_host = ("--host", "cmp-1", "--wait")
    service.run("job", "create", "--image", "used", *on_host)
    service.run("job", "create", "--image", "pinned", "--keep-for", "1d", *on_host)
    used, pinned = (entry(service, "cmp-1", known[name]) for name in ("used", "pinned"))
    whole, disk = pinned.read_bytes(), tmp_path / "guest.qcow2"
    of_disk = ("--path", str(disk), "--size", "1", "--instances-path", str(instances))
    service.run("disk", "create", "--image", known["used"], *of_disk)
    flip(used)

    verified, purged = task_of(service, "image", "verify", "used"), task_of(service, "image", "purge", "used")

    assert verified["outcome"] == "corrupt"
    assert f"it stays, because in use by 1 disk: {disk}" in verified["reason"]
    assert (purged["outcome"], purged["reason"]) == ("in_use", f"in use by 1 disk: {disk}")
    assert used.exists()
    wait_until(lambda: alarms(service))
    (alarm,) = alarms(service)
    assert (alarm["kind"], alarm["image"]) == ("corrupt", known["used"])
    assert str(disk) in alarm["text"]

    service.stop()
    flip(pinned)
    service.start(settings | {"OS_IMAGE_CACHE__VERIFY_BYTES_PER_S": str(10**9)})

    wait_until(lambda: list(pinned.parent.glob(f"{pinned.name}.corrupt-*")))
    wait_until(pinned.exists)
    assert pinned.read_bytes() == whole
    assert used.exists()


def alarms(service: LocalService) -> list[dict[str, str]]:
    cache = service.get("/v1/hosts/cmp-1")["host"]["cache"]
    found: list[dict[str, str]] = cache["alarms"] if cache else []
    return found
