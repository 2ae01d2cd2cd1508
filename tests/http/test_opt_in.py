"""Requests for images where not every image may be cached."""

import falcon.testing
import pytest

from precache.api.identity import noauth
from precache.rules.opt_in import OptIn, PrecacheImages
from tests.http.world import DEBIAN, KERNEL, World

OPTED_IN = "00000000-0000-4000-8000-000000000107"  # has KERNEL, and belongs to p1
SOME, NONE = OptIn(PrecacheImages.SOME), OptIn(PrecacheImages.NONE)
OF_P1, OF_P2 = (OptIn(projects=frozenset({project})) for project in ("p1", "p2"))
NOVA = {"OpenStack-API-Version": "compute 2.81"}


def ask(client, way, *images):
    by_id = {"cache": [{"id": image} for image in images]}
    if way == "host":
        return client.simulate_post("/v1/hosts/cmp1/images", json=by_id)
    if way == "nova":
        return client.simulate_post("/compute/v2.1/os-aggregates/1/images", json=by_id, headers=NOVA)
    body = {"images": [{"image": image} for image in images], "target": {"hosts": ["cmp1"]}}
    return client.simulate_post("/v1/jobs", json=body, query_string="dry_run=true" if way == "plan" else "")


@pytest.mark.parametrize("way", ["job", "plan", "host", "nova"])
@pytest.mark.parametrize(
    ("opt_in", "image", "code"),
    [
        (SOME, DEBIAN, "not_opted_in"),
        (OF_P2, OPTED_IN, "owner_not_listed"),
        (NONE, OPTED_IN, "precaching_off"),
    ],
)
def test_an_image_that_may_not_be_cached_is_refused_in_every_way(way, opt_in, image, code):
    world = World(opt_in=opt_in)
    client = falcon.testing.TestClient(noauth(world.app))

    answer = ask(client, way, image)

    assert answer.status_code == 400
    if way == "nova":
        assert answer.json["badRequest"]["code"] == 400
        message = answer.json["badRequest"]["message"]
    else:
        assert answer.json["error"]["code"] == f"precache.image.{code}"
        message = answer.json["error"]["message"]
    assert "precache" in message
    assert world.jobs.list_jobs() == []


@pytest.mark.parametrize("way", ["job", "plan", "host", "nova"])
@pytest.mark.parametrize("opt_in", [SOME, OF_P1])
@pytest.mark.parametrize("images", [(OPTED_IN,), (KERNEL, OPTED_IN)])
def test_an_image_that_may_be_cached_is_accepted_with_its_kernel(way, opt_in, images):
    client = falcon.testing.TestClient(noauth(World(opt_in=opt_in).app))

    answer = ask(client, way, *images)

    assert answer.status_code == (200 if way == "plan" else 202)


@pytest.mark.parametrize("operation", ["verify", "purge", "pin", "unpin"])
def test_what_is_in_the_caches_is_not_restricted(operation):
    client = falcon.testing.TestClient(noauth(World(opt_in=NONE).app))
    body = {"operation": operation, "images": [{"image": DEBIAN}], "target": {"hosts": ["cmp1"]}}

    assert client.simulate_post("/v1/jobs", json=body).status_code == 202
