"""The plan of a job before and after it runs: what it says is what the job then moves, and what the disks hold."""

from __future__ import annotations

import pytest

from tests.cache_files import files_of
from tests.system.conftest import MIB, qcow2, qemu_img, random_raw, settled
from tests.system.operating import cache_of, data_requests, entry, ids

pytestmark = pytest.mark.system

IMAGES = ("--image", "web", "--image", "db")
HOSTS = ("--host", "cmp-1", "--host", "cmp-2", "--host", "cmp-3")


def held(plan):
    """Return the hosts that hold each image, by the name of the image, as the plan says."""
    names = {image["image"]: image["name"] for image in plan["images"]}
    found = {name: [] for name in names.values()}
    for group in plan["groups"]:
        for image in group["images"]:
            found[names[image["image"]]] += image["held_by"]
    return {name: sorted(hosts) for name, hosts in found.items()}


def test_a_job_moves_what_its_plan_says_and_then_nothing_is_left_to_move(new_service, images):
    random_raw(images / "web.raw", 8)
    qcow2(images / "db.qcow2", 4, hole_mib=4)
    service = new_service("cell1:cmp-1,cell1:cmp-2,cell2:cmp-3")
    service.start({})
    number_of = ids(service)
    service.run("job", "create", "--image", "web", "--host", "cmp-1", "--wait")
    requests_before = data_requests(service)

    plan = service.run("job", "create", *IMAGES, *HOSTS, "--dry-run")
    jobs_after_plan = service.run("job", "list")
    requests_after_plan = data_requests(service)
    job = service.run("job", "create", *IMAGES, *HOSTS, "--wait", "--all")
    after = service.run("job", "create", *IMAGES, *HOSTS, "--dry-run")

    size = {image["name"]: image["size_bytes"] for image in plan["images"]}
    assert plan["bytes_to_move"] == 2 * size["web"] + 3 * size["db"]
    assert (plan["hosts"]["ready"], plan["hosts"]["incomplete"]) == (0, 3)
    assert held(plan) == {"web": ["cmp-1"], "db": []}
    assert (len(jobs_after_plan), requests_after_plan) == (1, requests_before)
    # In cell2 no host has downloaded anything yet.
    assert [group["seconds"] is None for group in plan["groups"]] == [False, True]
    assert plan["estimate"]["reason"] == "no download of a recent job was measured in cell2"

    assert sum(task["bytes_done"] for task in job["tasks"]) == plan["bytes_to_move"]
    assert (after["bytes_to_move"], after["hosts"]["ready"], after["estimate"]["seconds"]) == (0, 3, 0)
    assert held(after) == {name: ["cmp-1", "cmp-2", "cmp-3"] for name in ("web", "db")}
    for host in ("cmp-1", "cmp-2", "cmp-3"):
        assert all(entry(service, host, image).exists() for image in number_of.values())

    entry(service, "cmp-2", number_of["web"]).unlink()
    again = service.run("job", "create", *IMAGES, *HOSTS, "--dry-run")
    assert (again["bytes_to_move"], held(again)["web"]) == (size["web"], ["cmp-1", "cmp-3"])
    assert again["estimate"]["seconds"] > 0
    assert again["estimate"]["measured_jobs"] == 2


def test_a_host_on_which_the_plan_finds_no_space_refuses_the_image(new_service, images):
    vast = images / "vast.qcow2"
    qemu_img("create", "-f", "qcow2", vast, "100T")
    settled(vast)
    service = new_service("cell1:cmp-1")
    service.start({})
    request = ("job", "create", "--image", "vast", "--host", "cmp-1")

    plan = service.run(*request, "--dry-run")
    job = service.run(*request, "--wait", accepts=(5,))

    [small] = plan["lacking_space"]["hosts"]
    assert (small["host"], small["needed_bytes"]) == ("cmp-1", 100 << 40)
    assert 0 < small["free_bytes"] < small["needed_bytes"]
    assert "needs 100.0 TiB" in job["tasks"][0]["reason"]
    assert files_of(cache_of(service, "cmp-1")) == []


def test_a_host_that_is_forced_down_is_not_asked(new_service, images):
    random_raw(images / "web.raw", 1)
    service = new_service("cell1:cmp-1,cell1:cmp-2")
    service.start({})
    service.run("host", "set", "cmp-2", "--down")

    plan = service.run("job", "create", "--image", "web", "--cell", "cell1", "--dry-run")

    assert [note["host"] for note in plan["down"]["hosts"]] == ["cmp-2"]
    assert plan["bytes_to_move"] == MIB
