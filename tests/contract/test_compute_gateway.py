"""What every way to a host does, seen from the conductor."""

from dataclasses import replace

import pytest

from precache.adapters.computes_inprocess import InProcessComputes
from precache.core.errors import ComputeUnreachable, Stopped
from precache.core.images import parse_image_id
from precache.core.jobs import Outcome, TaskResult
from precache.core.orders import CacheOrder
from precache.ports.compute_gateway import CacheRequest
from tests.contract.buses import BusWorld

IMAGE = parse_image_id("00000000-0000-0000-0000-000000000001")
REQUEST = CacheRequest("job", "cmp-1", "cell1", (CacheOrder(IMAGE),))


class InProcessWorld:
    """Plain calls."""

    def __init__(self):
        self._computes = InProcessComputes()
        self.join, self.leave = self._computes.join, self._computes.leave

    def gateway(self):
        return self._computes

    def close(self):
        pass


@pytest.fixture(params=["inprocess", pytest.param("oslo", marks=pytest.mark.external)])
def world(request):
    """Return something with a gateway, to which computes are connected by `join` under a host's name."""
    made = InProcessWorld() if request.param == "inprocess" else BusWorld(request.getfixturevalue("cell_url"))
    yield made
    made.close()


def test_the_host_gets_the_whole_request_and_its_word_comes_back(world):
    received = []

    def compute(request):
        received.append(request)
        return [TaskResult(IMAGE, Outcome.CACHED, bytes_moved=7)]

    world.join("cmp-1", compute)

    assert list(world.gateway().cache_images(REQUEST)) == [TaskResult(IMAGE, Outcome.CACHED, bytes_moved=7)]
    assert [replace(each, deadline=None) for each in received] == [REQUEST]


def test_a_reason_comes_back_as_something_that_can_be_stored(world):
    result = TaskResult(IMAGE, Outcome.ERROR, reason="caf\udce9.raw\nis gone\x00")

    world.join("cmp-1", lambda request: [result])

    assert world.gateway().cache_images(REQUEST)[0].reason == "caf\\udce9.raw is gone "


def test_a_host_without_a_compute_is_unreachable_and_named(world):
    with pytest.raises(ComputeUnreachable, match="cmp-1"):
        world.gateway().cache_images(REQUEST)


def test_a_compute_that_is_being_stopped_says_so(world):
    def compute(request):
        raise Stopped("Caching")

    world.join("cmp-1", compute)

    with pytest.raises(Stopped):
        world.gateway().cache_images(REQUEST)


def test_a_compute_that_left_is_unreachable(world):
    world.join("cmp-1", lambda request: [])
    gateway = world.gateway()

    world.leave("cmp-1")

    with pytest.raises(ComputeUnreachable):
        gateway.cache_images(REQUEST)
