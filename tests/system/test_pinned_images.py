"""A pinned image that goes from the cache of a running service, and a cache that gets another disk meanwhile."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from tests.system.conftest import random_raw
from tests.system.operating import cache_of, entry, ids
from tests.waiting import wait_until
from tools.local_service import LocalService

pytestmark = pytest.mark.system

TOUCH_S = 4
SETTINGS = {
    "OS_DEFAULT__REPORT_INTERVAL": "1",
    # Pinned images are touched with half of this interval.
    "OS_IMAGE_CACHE__REMOVE_UNUSED_ORIGINAL_MINIMUM_AGE_SECONDS": str(2 * TOUCH_S),
}


def alarms(service: LocalService) -> list[tuple[str, str]]:
    return [(alarm["kind"], alarm["image"]) for alarm in shown(service)["alarms"] if alarm["kind"] != "not_touched"]


def states(service: LocalService) -> dict[str, str]:
    return {each["image"]: each["state"] for each in shown(service)["images"]}


def shown(service: LocalService) -> Any:
    return service.run("host", "show", "cmp-1", "--images")


def test_a_pinned_image_is_an_alarm_when_it_is_gone_and_is_restored_until_it_is_unpinned(new_service, images):
    for name in ("web", "other"):
        random_raw(images / f"{name}.raw", 2)
    service = new_service("cell1:cmp-1")
    service.start(SETTINGS)
    web, other = (ids(service)[name] for name in ("web", "other"))
    on_host = ("--host", "cmp-1", "--wait")
    service.run("job", "create", "--image", "web", "--image", "other", *on_host)
    service.run("image", "pin", "web", *on_host)
    path, whole = entry(service, "cmp-1", web), entry(service, "cmp-1", web).read_bytes()

    service.kill()
    shutil.rmtree(cache_of(service, "cmp-1"))  # another disk: the records are gone, too
    service.start(SETTINGS)
    wait_until(lambda: alarms(service) == [("missing", web)])
    during = states(service)
    wait_until(lambda: path.exists() and not alarms(service))

    assert during == {web: "missing"}
    assert path.read_bytes() == whole
    wait_until(lambda: states(service) == {web: "present"})
    assert not entry(service, "cmp-1", other).exists()

    path.unlink()
    wait_until(path.exists)
    assert path.read_bytes() == whole
    assert service.log.count(f"Image {web} is in the cache of cmp-1 again") == 2

    (images / "web.raw").unlink()
    path.unlink()
    wait_until(lambda: ("not_restored", web) in alarms(service))
    service.run("image", "unpin", web, *on_host)
    wait_until(lambda: not alarms(service))
    assert not path.exists()
