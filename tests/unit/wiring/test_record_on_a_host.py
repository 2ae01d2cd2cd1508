"""A host records what it caches, and lists it: the real driver, fetcher and compute, as they are wired."""

from __future__ import annotations

import json
from contextlib import ExitStack

from precache.core.cache_entries import EntryState, Verification
from precache.core.jobs import Outcome
from precache.imagecache.names import entry_name, record_name
from precache.imagecache.verification.content_digest import content_digest
from tests.unit.wiring.host_world import image_of, start_host
from tests.waiting import wait_until


def test_a_converted_image_is_hashed_soon_and_listed_with_all_that_is_known(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    image_of(images, "qcow2", size_mib=1)
    with ExitStack() as stack:
        host = start_host(tmp_path, images, stack, sends_freely=1)
        request = host.request("job-1")
        image = request.images[0]
        entry = host.instances / "_base" / entry_name(image)
        record = entry.with_name(record_name(entry.name))

        (result,) = host.compute.process_images(request)
        wait_until(lambda: "digest" in json.loads(record.read_text()))

        (listed,) = host.compute._driver.list_cache().entries

    assert result.outcome is Outcome.CACHED
    assert (listed.image, listed.entry, listed.state) == (image, entry.name, EntryState.PRESENT)
    assert (listed.digest, listed.format, listed.source) == (content_digest(entry), "raw", "image service")
    assert (listed.requested_by, listed.verification) == ("job-1", Verification.UNVERIFIED)
    assert listed.source_digest.startswith("sha512:")
    assert listed.cached_at is not None
