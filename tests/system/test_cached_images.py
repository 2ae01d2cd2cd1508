"""What the caches hold, as an operator sees it: after a job, and after its image has left the image service."""

from __future__ import annotations

import pytest

from tests.system.conftest import random_raw, settled
from tests.system.operating import aggregate, entry, ids
from tests.waiting import wait_until

pytestmark = pytest.mark.system

QUICK = {"OS_INVENTORY__IMAGE_STATUS_INTERVAL": "1", "OS_DEFAULT__REPORT_INTERVAL": "1"}


def test_a_cached_image_is_in_every_view_and_gone_when_it_was_deleted(new_service, images):
    for name in ("web", "db"):
        random_raw(images / f"{name}.raw", 1)
        settled(images / f"{name}.raw")
    service = new_service("cell1:cmp-1,cell2:cmp-2,cell2:cmp-3:uncached")
    service.start(QUICK)
    web, db = (ids(service)[name] for name in ("web", "db"))
    aggregate(service, "cmp-1", "cmp-2")
    service.run("aggregate", "cache", "image", "agg", "web", "--wait")
    service.run("host", "cache", "image", "cmp-1", "db", "--wait")

    def cached():
        return {each["name"]: each for each in service.run("image", "list", "--cached")}

    def status_of(name):
        return cached().get(name, {}).get("status")

    wait_until(lambda: {name: each["hosts"] for name, each in cached().items()} == {"web": 2, "db": 1})
    wait_until(lambda: status_of("web") == status_of("db") == "active")
    held = service.run("host", "show", "cmp-1", "--images")
    where = service.run("image", "where", "web")

    assert {each["image"]: each["entry"] for each in held["images"]} == {
        image: entry(service, "cmp-1", image).name for image in (web, db)
    }
    assert held["entries"]["present"] == 2
    assert held["entries"]["bytes"] == cached()["web"]["bytes"] // 2 + cached()["db"]["bytes"]
    assert held["owner"] in ("nova", "precache")
    assert held["space"]["total_bytes"] > 0
    assert held["report_age_s"] < 30
    assert [(each["host"], each["cell"], each["host_state"], each["state"]) for each in where] == [
        ("cmp-1", "cell1", "up", "present"),
        ("cmp-2", "cell2", "up", "present"),
    ]
    assert all(each["digest"] and each["cached_at"] for each in where)
    assert "image" in service.run("host", "show", "cmp-3")["unsupported"]

    (images / "web.raw").unlink()

    wait_until(lambda: status_of("web") == "gone")
    assert status_of("db") == "active"
    assert [each["host"] for each in service.run("image", "where", "web")] == ["cmp-1", "cmp-2"]
    assert [each["image"] for each in service.run("image", "list", "--cached", "--status", "gone")] == [web]
    service.quietly("host", "set", "cmp-2", "--down")
    assert [each["host"] for each in service.run("image", "where", web, "--host-state", "down")] == ["cmp-2"]
    entry(service, "cmp-1", web).unlink()
    wait_until(lambda: cached()["web"]["hosts"] == 1)
