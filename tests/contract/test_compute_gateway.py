"""What every way to a host does, seen from the conductor."""

import pytest

from precache.adapters.computes_inprocess import InProcessComputes
from precache.core.errors import ComputeUnreachable, Stopped
from precache.core.images import parse_image_id
from precache.core.jobs import Outcome, TaskResult
from precache.ports.compute_gateway import CacheRequest

IMAGE = parse_image_id("00000000-0000-0000-0000-000000000001")
REQUEST = CacheRequest("job", "cmp-1", "cell1", (IMAGE,))


@pytest.fixture(params=["inprocess"])
def joined():
    """Give a gateway, and a function that connects a compute to it under a host's name."""
    gateway = InProcessComputes()
    return gateway, gateway.join


def test_the_host_gets_the_whole_request_and_its_word_comes_back(joined):
    gateway, join = joined
    received = []

    def compute(request):
        received.append(request)
        return [TaskResult(IMAGE, Outcome.CACHED, bytes_moved=7)]

    join("cmp-1", compute)

    assert list(gateway.cache_images(REQUEST)) == [TaskResult(IMAGE, Outcome.CACHED, bytes_moved=7)]
    assert received == [REQUEST]


def test_a_host_without_a_compute_is_unreachable_and_named(joined):
    gateway, _ = joined

    with pytest.raises(ComputeUnreachable, match="cmp-1"):
        gateway.cache_images(REQUEST)


def test_a_compute_that_is_being_stopped_says_so(joined):
    gateway, join = joined

    def compute(request):
        raise Stopped("Caching")

    join("cmp-1", compute)

    with pytest.raises(Stopped):
        gateway.cache_images(REQUEST)


def test_a_compute_that_left_is_unreachable(joined):
    gateway, join = joined
    join("cmp-1", lambda request: [])

    gateway.leave("cmp-1")

    with pytest.raises(ComputeUnreachable):
        gateway.cache_images(REQUEST)
