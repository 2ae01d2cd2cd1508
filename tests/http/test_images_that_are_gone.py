"""Requests for images that have left the image service, but are in caches."""

import falcon.testing
import pytest

from precache.api.identity import noauth
from precache.core.cache_entries import CachedEntry, CacheReport, entry_name
from tests.http.world import NAMESAKES, UNKNOWN, World

OTHER = "00000000-0000-4000-8000-0000000000fe"
WITHOUT_IMAGE = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def world():
    world = World()
    named = {UNKNOWN: "old", OTHER: "twice-old", "00000000-0000-4000-8000-0000000000fd": "twice-old"}
    entries = [CachedEntry(entry=entry_name(image), image=image, image_name=name) for image, name in named.items()]
    entries.append(CachedEntry(entry=WITHOUT_IMAGE))
    entries.append(CachedEntry(entry=entry_name(NAMESAKES[0]), image=NAMESAKES[0], image_name="debian-12"))
    report = CacheReport(
        host="cmp1",
        cell="cell1",
        boot_id="b",
        sequence=1,
        base=1,
        at=world.clock.now(),
        space=None,
        entries=tuple(entries),
    )
    world.caches.store_reports([report])
    return world


def ask(world, image, operation="purge"):
    client = falcon.testing.TestClient(noauth(world.app))
    body = {"operation": operation, "images": [{"image": image}], "target": {"hosts": ["cmp1"]}}
    return client.simulate_post("/v1/jobs", json=body)


@pytest.mark.parametrize("text", ["old", UNKNOWN, entry_name(UNKNOWN), entry_name(UNKNOWN).upper()])
@pytest.mark.parametrize("operation", ["purge", "verify", "unpin"])
def test_an_image_that_is_gone_is_found_by_name_and_id_and_keeps_its_name(world, text, operation):
    job = ask(world, text, operation).json["job"]

    assert job["images"] == [UNKNOWN]
    assert job["image_names"] == {UNKNOWN: "old"}


def test_a_name_of_several_images_that_are_gone_lists_their_ids(world):
    answer = ask(world, "twice-old")

    assert answer.json["error"]["code"] == "precache.image.ambiguous"
    assert OTHER in answer.json["error"]["message"]


def test_an_image_that_still_exists_is_found_by_its_entry(world):
    job = ask(world, entry_name(NAMESAKES[0]), "verify").json["job"]

    assert job["images"] == [NAMESAKES[0]]


@pytest.mark.parametrize("text", [WITHOUT_IMAGE, WITHOUT_IMAGE.upper()])
def test_an_entry_whose_image_no_host_knows_is_refused_with_what_can_be_done(world, text):
    error = ask(world, text).json["error"]

    assert error["code"] == "precache.image.entry_without_image"
    assert f"No host knows the image of entry {WITHOUT_IMAGE}" in error["message"]
    assert "host clean HOST --all" in error["message"]


def test_an_entry_is_not_cached_and_one_that_no_host_has_reported_is_not_found(world):
    codes = {ask(world, *of).json["error"]["code"] for of in [(entry_name(UNKNOWN), "cache"), ("f" * 40, "purge")]}

    assert codes == {"precache.image.not_found"}


def test_the_image_service_comes_first(world):
    assert ask(world, "debian-12").json["job"]["images"] != [NAMESAKES[0]]


def test_what_is_gone_cannot_be_cached(world):
    assert ask(world, "old", "cache").json["error"]["code"] == "precache.image.not_found"


def test_a_name_that_nothing_has_is_refused(world):
    assert ask(world, "older").json["error"]["code"] == "precache.image.not_found"
