"""`precache job show --sites`: the chain of hosts of each site."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.cli.conftest import Run
from tests.unit.cli.stub_service import DEBIAN, JOB_ID, Reply, StubService, job

SHOW = ("job", "show", JOB_ID, "--sites")


def host(name: str, parent: str | None, **fields: Any) -> dict[str, Any]:
    return {
        "host": name,
        "site": "edge1",
        "state": "active",
        "source": "host" if parent else "image_service",
        "parent": parent,
        "depth": 0,
        "is_leaf": False,
        "have_bytes": 1 << 30,
        "lag_bytes": None,
        "lag_s": None,
        "rate_bytes_per_s": 20 << 20,
        "lost": [],
        "reported_at": None,
        **fields,
    }


SITE: dict[str, Any] = {
    "cell": "cell1",
    "site": "edge1",
    "image": DEBIAN,
    "image_name": "debian-12",
    "form": "raw",
    "size_bytes": 2 << 30,
    "root": "tree-sha256:beef",
    "attestations": 1,
    "reason": "",
    "seeders": ["cmp-1"],
    "host_count": 4,
    "complete": 1,
    "lag_bytes": 1 << 20,
    "created_at": None,
    "hosts": [
        host("cmp-1", None, state="complete"),
        host("cmp-2", "cmp-1", lag_bytes=1 << 20, lag_s=0.05, depth=1),
        host("cmp-3", "cmp-2", is_leaf=True, lag_bytes=600 << 20, lag_s=30.0, depth=2),
        host("cmp-4", None, source="wait", have_bytes=0, depth=None, rate_bytes_per_s=None),
    ],
}


@pytest.fixture
def sites(service: StubService) -> list[dict[str, Any]]:
    found = [SITE]
    service.replies["GET", f"/v1/jobs/{JOB_ID}"] = Reply(200, {"job": job("running")})
    service.replies["GET", f"/v1/jobs/{JOB_ID}/sites"] = Reply(200, {"sites": found})
    return found


def test_a_table_shows_each_host_with_its_parent_and_its_lag(run: Run, sites: list[dict[str, Any]]) -> None:
    shown = run(*SHOW, "--max-width", "140").out

    assert (
        "debian-12 in site edge1 of cell cell1: 1 of 4 hosts complete, 2.0 GiB each, seeder cmp-1, "
        "root tree-sha256:beef" in shown
    )
    found = [[cell.strip() for cell in line.split("|")[1:-1]] for line in shown.splitlines() if "| cmp-" in line]
    rows = {name: row for name, *row in found}
    assert rows["cmp-1"] == ["(image service)", "complete", "1.0 GiB", "", "", "20.0 MiB/s"]
    assert rows["cmp-2"] == ["cmp-1", "receives", "1.0 GiB", "1.0 MiB", "0.1 s", "20.0 MiB/s"]
    assert rows["cmp-3"][1] == "receives, slow"
    assert rows["cmp-4"] == ["", "waits", "0 B", "", "", ""]
    assert "lost" not in shown
    assert "| site " not in shown


def test_the_site_of_each_host_is_shown_if_one_is_in_a_site_below(run: Run, sites: list[dict[str, Any]]) -> None:
    sites[0] = SITE | {"hosts": [host("cmp-1", None, site="edge1"), host("cmp-2", "cmp-1", site="far1")]}

    shown = run(*SHOW, "--max-width", "140").out

    assert "| far1" in shown


def test_a_relay_that_has_failed_says_why_and_lost_hosts_are_named(run: Run, sites: list[dict[str, Any]]) -> None:
    sites[0] = SITE | {
        "reason": "two roots",
        "seeders": [],
        "root": None,
        "size_bytes": None,
        "hosts": [host("cmp-2", "cmp-1", lost=["cmp-7"], site="shop-3")],
    }

    shown = run(*SHOW, "--max-width", "140").out

    assert "no seeder yet, root not known yet" in shown
    assert "FAILED: two roots" in shown
    assert "cmp-7" in shown
    assert "shop-3" in shown


def test_a_root_that_several_hosts_must_find_says_so(run: Run, sites: list[dict[str, Any]]) -> None:
    sites[0] = SITE | {"root": None, "attestations": 2}

    shown = run(*SHOW, "--max-width", "140").out

    assert "root not known yet: 2 hosts must fetch the image and find the same" in shown


def test_hosts_that_have_left_are_complete_if_they_had_all(run: Run, sites: list[dict[str, Any]]) -> None:
    hosts = [host("cmp-1", None, state="left", have_bytes=2 << 30), host("cmp-2", "cmp-1", state="left")]
    sites[0] = SITE | {"seeders": [], "hosts": hosts}

    shown = run(*SHOW, "--max-width", "140").out

    assert "no seeder any more" in shown
    [whole, part] = [line for line in shown.splitlines() if "| cmp-" in line]
    assert "| complete, left " in whole
    assert "| left " in part


def test_json_has_the_sites_as_the_service_gave_them_and_no_tasks(run: Run, sites: list[dict[str, Any]]) -> None:
    shown = run(*SHOW, "-f", "json").json

    assert shown["sites"] == [SITE]
    assert "tasks" not in shown
    assert run(*SHOW, "-f", "json", "-c", "sites").json == {"sites": [SITE]}


def test_a_job_without_swarm_says_so(run: Run, sites: list[dict[str, Any]]) -> None:
    sites.clear()

    assert "No host of the job gets an image by swarm" in run(*SHOW).out


def test_sites_are_not_waited_for(run: Run) -> None:
    ran = run(*SHOW, "--wait")

    assert ran.code == 2
    assert "leave out --wait, or --sites" in ran.err


def test_a_table_of_a_job_says_from_where_its_bytes_came(run: Run, service: StubService) -> None:
    sources = {"image_service": 1 << 30, "hosts": 31 << 30, "cache": 0}
    service.replies["GET", f"/v1/jobs/{JOB_ID}"] = Reply(200, {"job": job("running") | {"bytes_from": sources}})
    service.replies["GET", f"/v1/jobs/{JOB_ID}/tasks"] = Reply(200, {"tasks": []})

    assert "1.0 GiB from the image service, 31.0 GiB from hosts" in run("job", "show", JOB_ID, "--max-width", "120").out
