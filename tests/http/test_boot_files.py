"""Requests for images that name a kernel or a ramdisk."""

import falcon.testing
import pytest

from precache.api.identity import noauth
from tests.http.world import DEACTIVATED, DEBIAN, FORBIDDEN, KERNEL, RAMDISK, UNKNOWN, World

WITH_BOTH, WITH_KERNEL, WITHOUT_ONE, WITH_DEACTIVATED, WITH_NO_ID, WITH_DISK, WITH_FORBIDDEN = (
    f"00000000-0000-4000-8000-0000000001{number:02}" for number in range(7)
)
NOVA = {"OpenStack-API-Version": "compute 2.81"}


def client_of(world):
    return falcon.testing.TestClient(noauth(world.app_with()))


@pytest.fixture
def client():
    return client_of(World())


def by_job(client, *images, **options):
    body = {"images": [{"image": image} for image in images], "target": {"hosts": ["cmp1", "cmp2"]}, **options}
    return client.simulate_post("/v1/jobs", json=body)


def by_host(client, *images):
    return client.simulate_post("/v1/hosts/cmp1/images", json={"cache": [{"id": image} for image in images]})


def by_nova(client, *images):
    body = {"cache": [{"id": image} for image in images]}
    return client.simulate_post("/compute/v2.1/os-aggregates/1/images", json=body, headers=NOVA)


def stored(client):
    """Return all jobs, whole."""
    found = client.simulate_get("/v1/jobs").json["jobs"]
    return [client.simulate_get(f"/v1/jobs/{job['id']}").json["job"] for job in found]


@pytest.mark.parametrize("ask", [by_job, by_host, by_nova])
def test_kernel_and_ramdisk_follow_their_image_and_become_tasks(client, ask):
    assert ask(client, WITH_BOTH, DEBIAN).status_code == 202

    [job] = stored(client)
    assert job["orders"] == [
        {"image": WITH_BOTH},
        {"image": KERNEL, "as_is": True},
        {"image": RAMDISK, "as_is": True},
        {"image": DEBIAN},
    ]
    tasks = client.simulate_get(f"/v1/jobs/{job['id']}/tasks").json["tasks"]
    assert [task["image_name"] for task in tasks[:4]] == ["pair-0", "kernel", "ramdisk", "debian-12"]
    assert job["task_count"] == len(tasks)


def test_a_kernel_of_two_images_is_cached_once(client):
    by_job(client, WITH_KERNEL, WITH_BOTH, rate_limit_bytes_per_s=5)

    [job] = stored(client)
    assert job["images"] == [WITH_KERNEL, KERNEL, WITH_BOTH, RAMDISK]
    assert job["orders"][1] == {"image": KERNEL, "as_is": True, "rate_limit_bytes_per_s": 5}


def test_a_kernel_that_is_asked_for_itself_stays_where_it_is(client):
    by_job(client, KERNEL, WITH_KERNEL)

    assert stored(client)[0]["orders"] == [{"image": KERNEL, "as_is": True}, {"image": WITH_KERNEL}]


def test_a_kernel_alone_is_cached_like_any_image(client):
    by_job(client, KERNEL)

    assert stored(client)[0]["orders"] == [{"image": KERNEL}]


@pytest.mark.parametrize(
    ("image", "file", "name", "code", "wrong"),
    [
        (WITHOUT_ONE, UNKNOWN, "kernel_id", "not_found", "could not be found"),
        (WITH_NO_ID, "none", "kernel_id", "not_found", "could not be found"),
        (WITH_FORBIDDEN, FORBIDDEN, "ramdisk_id", "not_authorized", "Not authorized"),
        (WITH_DEACTIVATED, DEACTIVATED, "kernel_id", "not_active", "its status is deactivated"),
        (WITH_DISK, DEBIAN, "kernel_id", "format_unsupported", "has disk format qcow2"),
    ],
)
def test_a_kernel_or_ramdisk_that_cannot_be_cached_is_refused_with_the_image_that_names_it(
    client, image, file, name, code, wrong
):
    ours, novas = by_job(client, DEBIAN, image), by_nova(client, image)

    error = ours.json["error"]
    assert (ours.status_code, error["code"]) == (400, f"precache.image.{code}")
    assert wrong in error["message"]
    assert file in error["message"]
    assert error["message"].endswith(f". Image {image} has it as its {name}.")
    assert novas.status_code == 400
    assert novas.json["badRequest"]["message"] == error["message"]
    assert stored(client) == []


def test_an_operator_can_leave_kernel_and_ramdisk_out():
    client = client_of(World(adds_boot_files=False))

    assert by_job(client, WITH_BOTH, WITHOUT_ONE).status_code == 202
    assert stored(client)[0]["images"] == [WITH_BOTH, WITHOUT_ONE]
