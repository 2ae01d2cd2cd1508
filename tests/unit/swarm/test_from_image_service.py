"""How fast a seeder says that it fetches from the image service."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from precache.core.bytes_from import BytesFrom
from precache.core.errors import ImageServiceUnavailable
from precache.core.jobs import Phase
from precache.core.relays import Source
from precache.swarm.from_image_service import FromImageService
from tests.swarm_files import RELAY

MIB = 1 << 20


class SteppedFetcher:
    """Reports what it does at each second, and fails then."""

    def __init__(self, steps):
        self._steps, self.now_s = steps, 0.0

    def fetch(self, order, staging, watch, final_parts, received):
        for phase, done in self._steps:
            self.now_s += 1.0
            watch(phase, done, 40 * MIB)
        raise ImageServiceUnavailable("glance", "the test ends here")


def rate_after(*steps):
    fetcher = SteppedFetcher(steps)
    host = SimpleNamespace(fetcher=fetcher, trust=None, monotonic=lambda: fetcher.now_s)
    work = SimpleNamespace(
        host=host, relay=RELAY, order=None, staging=None, fetched=BytesFrom(), rate_bytes_per_s=0, check=lambda: None,
        pieces=SimpleNamespace(end_promise=lambda: None),
        follow=lambda: SimpleNamespace(source=Source.IMAGE_SERVICE),
        note_progress=lambda *_: None,
    )  # fmt: skip
    with pytest.raises(ImageServiceUnavailable):
        FromImageService(work).fetch()
    return work.rate_bytes_per_s


def test_what_follows_a_download_is_not_counted_in_its_rate():
    download = [(Phase.DOWNLOADING, done * MIB) for done in (10, 20, 30, 40)]

    assert rate_after(*download) == 10 * MIB
    assert rate_after(*download, *[(Phase.CONVERTING, done * MIB) for done in (38, 39, 40)]) == 10 * MIB
    assert rate_after(*download, *[(Phase.PUBLISHING, 40 * MIB)] * 5) == 10 * MIB
