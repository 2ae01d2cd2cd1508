"""A host that has no certificate yet, or one of an authority that was renewed, waits for it: nothing fails."""

from __future__ import annotations

import time

import pytest

from precache.adapters.clock_system import SystemClock
from precache.core.errors import NoCertificate, RelayFailed
from precache.core.relays import ReportKind
from precache.swarm.host_trust import HostTrust
from tests.relay_hosts import Site, some_content
from tests.swarm_hosts import CELL, SITE, SwarmHosts
from tests.unit.fetch.world import IMAGE, record_of
from tests.waiting import wait_until

SIZE = (2 << 20) + 4711
DATA = some_content(SIZE)


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path, record_of(DATA), DATA) as site:
        site.finish(site.host("one").cache_image(IMAGE))
        yield site


def certify(swarm: SwarmHosts, trust: HostTrust) -> HostTrust:
    trust.install(swarm.authority.certify(trust.host, CELL, SITE, trust.signing_request()))
    return trust


def uncertified() -> HostTrust:
    return HostTrust(host="two", cell=CELL, clock=SystemClock())


def quick() -> float:
    """A clock on which a minute passes at once."""
    return time.monotonic() * 200


def test_a_host_that_has_just_started_waits_for_its_certificate(site) -> None:
    two = site.host("two", trust=uncertified())

    future = two.cache_image(IMAGE)
    wait_until(lambda: two.fetcher._host.trust.is_asked_for and two.waits)
    assert not future.done()
    assert not site.planner.is_known("two")
    certify(site.swarm, two.fetcher._host.trust)

    site.finish(future)
    assert two.fetched.bytes_from.image_service == 0


def test_a_host_that_gets_no_certificate_says_why(site) -> None:
    trust = uncertified()
    trust.note_refusal("it is marked as down")

    future = site.host("two", trust=trust, monotonic=quick).cache_image(IMAGE)

    with pytest.raises(NoCertificate, match="this host has no certificate yet: it is marked as down"):
        future.result(30)
    assert not site.planner.is_known("two")


def test_a_host_asks_for_a_new_certificate_if_the_authority_was_renewed(site) -> None:
    trust = certify(SwarmHosts(), uncertified())
    two = site.host("two", trust=trust)

    future = two.cache_image(IMAGE)
    wait_until(lambda: trust.is_asked_for)
    certify(site.swarm, trust)

    site.finish(future)
    assert two.fetched.bytes_from.image_service == 0


def test_a_root_that_no_known_authority_has_signed_fails_after_a_minute(site) -> None:
    trust = certify(SwarmHosts(), uncertified())

    future = site.host("two", trust=trust, monotonic=quick).cache_image(IMAGE)

    with pytest.raises(RelayFailed, match="no conductor that this host knows has signed the root"):
        future.result(30)


def test_a_host_whose_site_has_changed_gets_a_new_certificate_when_another_one_asks_it(tmp_path) -> None:
    with Site(tmp_path, record_of(DATA), DATA) as site:
        trust = HostTrust(host="one", cell=CELL, clock=SystemClock())
        trust.install(site.swarm.authority.certify("one", CELL, "earlier", trust.signing_request()))
        site.finish(site.host("one", trust=trust).cache_image(IMAGE))

        future = site.host("two").cache_image(IMAGE)
        wait_until(lambda: trust.is_asked_for or future.done())
        certify(site.swarm, trust)

        site.finish(future)
        assert site.hosts["two"].fetched.bytes_from.image_service == 0


def test_a_host_whose_site_has_changed_gets_a_new_certificate_before_it_asks_others(site) -> None:
    trust = uncertified()
    trust.install(site.swarm.authority.certify("two", CELL, "earlier", trust.signing_request()))

    future = site.host("two", trust=trust).cache_image(IMAGE)
    wait_until(lambda: trust.is_asked_for or future.done())
    certify(site.swarm, trust)

    site.finish(future)
    assert site.hosts["two"].fetched.bytes_from.image_service == 0
    assert site.planner.kinds("two") == [ReportKind.COMPLETE]
