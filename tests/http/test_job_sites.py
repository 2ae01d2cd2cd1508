"""How the images of a job go through the hosts of each site, as the API shows it."""

from dataclasses import replace

import pytest
from falcon import testing

from precache.core.bytes_from import BytesFrom
from precache.core.jobs import HostAsked, HostEnded, Outcome, Phase, TaskProgress, TaskResult
from precache.core.relays import Form, MemberState, RelayKey, RelayMember, Source
from tests.contract.job_values import LEASE
from tests.http.world import DEBIAN, World

ADMIN = {"X-Identity-Status": "Confirmed", "X-User-Id": "boss", "X-Project-Id": "infra", "X-Roles": "admin"}
GOOD = {"images": [{"image": DEBIAN}], "target": {"aggregates": ["edge"]}, "transfer": "swarm"}


@pytest.fixture
def world():
    return World()


@pytest.fixture
def client(world):
    return testing.TestClient(world.app, headers=ADMIN)


@pytest.fixture
def job(client):
    return client.simulate_post("/v1/jobs", json=GOOD).json["job"]


def relay(world, site, *members, **fields):
    def add(found, now):
        return replace(found, members=tuple(replace(member, joined_at=now) for member in members), **fields)

    world.relays.change_by_key(RelayKey("cell1", site, DEBIAN, Form.RAW), 1, add)


SEEDER = RelayMember(host="cmp1", source=Source.IMAGE_SERVICE, have_bytes=900, state=MemberState.COMPLETE)
CHILD = RelayMember(
    host="cmp2",
    source=Source.HOST,
    parent="cmp1",
    have_bytes=500,
    offered_bytes=900,
    rate_bytes_per_s=200,
    lost=("cmp3",),
)


def test_each_site_shows_its_chain_and_its_lag(world, client, job):
    relay(world, "north", CHILD, SEEDER, size_bytes=900, root="tree-sha256:" + "a" * 64)
    relay(world, "south", replace(CHILD, source=Source.WAIT, parent=""), reason="two roots")

    north, south = client.simulate_get(f"/v1/jobs/{job['id']}/sites").json["sites"]

    assert (north["site"], north["image"], north["form"], north["size_bytes"]) == ("north", DEBIAN, "raw", 900)
    assert (north["seeders"], north["host_count"], north["complete"], north["lag_bytes"]) == (["cmp1"], 2, 1, 400)
    first, second = north["hosts"]
    assert (first["host"], first["source"], first["state"], first["depth"]) == ("cmp1", "image_service", "complete", 0)
    assert (first["parent"], first["lag_bytes"], first["rate_bytes_per_s"]) == (None, None, None)
    assert (second["host"], second["parent"], second["depth"], second["lost"]) == ("cmp2", "cmp1", 1, ["cmp3"])
    assert (second["lag_bytes"], second["lag_s"], second["rate_bytes_per_s"]) == (400, 2.0, 200)
    assert (south["reason"], south["seeders"], south["root"], south["size_bytes"]) == ("two roots", [], None, None)
    assert south["lag_bytes"] is None


def test_hosts_that_serve_an_image_no_more_were_complete(world, client, job):
    gone = [replace(SEEDER, state=MemberState.LEFT), replace(CHILD, have_bytes=900, state=MemberState.LEFT)]
    stopped = replace(CHILD, host="cmp3", state=MemberState.LEFT)
    relay(world, "north", *gone, stopped, size_bytes=900, root="tree-sha256:" + "a" * 64)

    (found,) = client.simulate_get(f"/v1/jobs/{job['id']}/sites").json["sites"]

    assert (found["complete"], found["host_count"]) == (2, 3)


def test_hosts_of_a_site_below_another_one_are_in_its_chain(world, client, job):
    relay(world, "north", SEEDER, replace(CHILD, site="edge1", above=("north",)))

    (found,) = client.simulate_get(f"/v1/jobs/{job['id']}/sites", query_string="site=edge1").json["sites"]

    assert [found["site"], *(host["site"] for host in found["hosts"])] == ["north", "north", "edge1"]


def test_sites_come_in_pages(world, client, job):
    for site in ("east", "north", "south"):
        relay(world, site, SEEDER)

    first = client.simulate_get(f"/v1/jobs/{job['id']}/sites", query_string="cell=cell1&limit=2").json
    (link,) = first["sites_links"]
    second = client.simulate_get(link["href"].removeprefix("http://falconframework.org"))
    gone = client.simulate_get(f"/v1/jobs/{job['id']}/sites", query_string="marker=x")

    assert [found["site"] for found in first["sites"]] == ["east", "north"]
    assert ([found["site"] for found in second.json["sites"]], "sites_links" in second.json) == (["south"], False)
    assert (gone.status_code, "begin again" in gone.text) == (404, True)


@pytest.mark.parametrize(
    ("query", "sites"), [("site=south", ["south"]), ("cell=cell2", []), ("cell=cell1", ["north", "south"])]
)
def test_sites_are_selected_by_name_and_cell(world, client, job, query, sites):
    for site in ("south", "north"):
        relay(world, site, SEEDER)

    found = client.simulate_get(f"/v1/jobs/{job['id']}/sites", query_string=query).json["sites"]

    assert [each["site"] for each in found] == sites


def test_a_job_without_swarm_has_none_and_an_unknown_job_is_not_found(client, job):
    assert client.simulate_get(f"/v1/jobs/{job['id']}/sites").json == {"sites": []}
    assert client.simulate_get("/v1/jobs/0f6f2c9e-7b1a-4d53-9f0c-2b6c7a1d0e11/sites").status_code == 404
    assert client.simulate_get("/v1/jobs/nonsense/sites").status_code == 404


def test_tasks_and_the_job_say_from_where_their_bytes_came(world, client, job):
    claim, now = world.jobs.claim("one", LEASE).claim, world.clock.now()
    before = client.simulate_get(f"/v1/jobs/{job['id']}/tasks").json["tasks"][0]
    world.jobs.record(claim, [HostAsked(host, "cell1", (DEBIAN,), now) for host in ("cmp1", "cmp2")])
    sources = BytesFrom(image_service=1, hosts=20, cache=300)
    world.jobs.note([TaskProgress(job["id"], "cmp2", DEBIAN, Phase.DOWNLOADING, 321, 900, "cell1", "cmp1", sources)])
    world.jobs.record(claim, [HostEnded("cmp1", (TaskResult(DEBIAN, Outcome.CACHED, 1000),), now)])

    tasks = client.simulate_get(f"/v1/jobs/{job['id']}/tasks").json["tasks"]
    shown = client.simulate_get(f"/v1/jobs/{job['id']}").json["job"]

    assert (before["parent"], before["bytes_from"]) == (None, None)
    by_host = {task["host"]: (task["parent"], task["bytes_from"]) for task in tasks}
    assert by_host["cmp1"] == (None, None)
    assert by_host["cmp2"] == ("cmp1", {"image_service": 1, "hosts": 20, "cache": 300})
    assert shown["bytes_from"] == {"image_service": 1001, "hosts": 20, "cache": 300}


def test_the_bytes_of_other_operations_have_no_source(client):
    body = GOOD | {"operation": "verify"}
    del body["transfer"]

    assert client.simulate_post("/v1/jobs", json=body).json["job"]["bytes_from"] is None
