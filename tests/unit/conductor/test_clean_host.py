"""A conductor has one host clean its cache, or says why not."""

import math
from datetime import timedelta

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.computes_inprocess import InProcessComputes
from precache.adapters.inventory_memory import MemoryInventory
from precache.conductor.clean_host import CleanHost
from precache.core.cache_cleaning import CleanRequest, CleanResult
from precache.core.errors import (
    BusUnavailable,
    CleanRefused,
    ComputeOutdated,
    ComputeUnreachable,
    HostNotReached,
    Stopped,
)
from precache.core.hosts import Heartbeat
from precache.rules.group_by_cell import RpcRequirement
from tests.played_host import PlayedHost

DOWN_TIME = timedelta(seconds=60)


def cleaning(clean, *, version="1.4", silent=timedelta(), heard_for_s=math.inf, is_known=True):
    """Return the use case beside one host that answers with `clean`."""
    clock, computes = MemoryClock(), InProcessComputes()
    inventory = MemoryInventory(clock=clock)
    if is_known:
        inventory.store_heartbeats([Heartbeat("cmp-1", "cell1", "fake", clock.now(), version)])
    clock.advance(silent)
    computes.join("cmp-1", PlayedHost(list, clean_cache=clean))
    return CleanHost(
        hosts=inventory,
        caches=computes,
        service_down_time=DOWN_TIME,
        requirement=RpcRequirement(needed="1.4"),
        listening_for_s=lambda cell: heard_for_s,
    )


def cleans(request):
    return CleanResult(policy="lru" if request.everything else "age")


def test_the_answer_of_the_host_is_returned():
    assert cleaning(cleans).clean("cmp-1", CleanRequest(everything=True)).policy == "lru"


@pytest.mark.parametrize(
    ("host", "kind", "message"),
    [
        ({"silent": 2 * DOWN_TIME}, HostNotReached, "was not asked to clean its cache: it is down"),
        ({"silent": 2 * DOWN_TIME, "heard_for_s": 1}, HostNotReached, "not yet listened to its cell for long enough"),
        ({"version": "1.3"}, CleanRefused, "its compute speaks version 1.3; update Precache on the host"),
        ({"is_known": False}, CleanRefused, "it belongs to no cell"),
    ],
)
def test_a_host_that_cannot_be_asked_is_not_asked(host, kind, message):
    def must_not_be_called(request):
        raise AssertionError(request)

    with pytest.raises(kind, match=message):
        cleaning(must_not_be_called, **host).clean("cmp-1", CleanRequest())


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ComputeUnreachable("cmp-1", "it was too slow"), HostNotReached, "did not answer.*it was too slow"),
        (BusUnavailable("amqp://a", "it is down"), HostNotReached, "was not asked.*it is down"),
        (ComputeOutdated("cmp-1", "1.4"), CleanRefused, "update Precache on the host"),
        (Stopped("The compute on cmp-1"), CleanRefused, "The compute on cmp-1"),
    ],
)
def test_a_host_that_does_not_answer_is_an_error_in_words(error, kind, message):
    def fails(request):
        raise error

    with pytest.raises(kind, match=message):
        cleaning(fails).clean("cmp-1", CleanRequest())


def test_what_the_host_refuses_is_a_conflict():
    with pytest.raises(CleanRefused, match="Host cmp-1 does not clean its cache: nova-compute owns it"):
        cleaning(lambda request: CleanResult(refused="nova-compute owns it")).clean("cmp-1", CleanRequest())
