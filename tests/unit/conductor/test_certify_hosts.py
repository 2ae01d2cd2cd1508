"""A conductor certifies a host as the inventory has it, and no other."""

from datetime import timedelta

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.inventory_memory import MemoryInventory
from precache.conductor.certify_hosts import CertifyHosts
from precache.core.errors import HostNotFound, RelayRefused
from precache.core.hosts import Heartbeat
from precache.core.swarm_certificates import HostIdentity
from precache.swarm.host_trust import HostTrust
from tests.swarm_hosts import SwarmHosts


class Deployment:
    def __init__(self) -> None:
        self.clock = MemoryClock()
        self.inventory = MemoryInventory(clock=self.clock)
        self.certify_hosts = CertifyHosts(
            hosts=self.inventory,
            authority=SwarmHosts(clock=self.clock).authority,
            service_down_time=timedelta(seconds=60),
        )

    def beat(self, host: str, cell: str, site: str) -> None:
        beat = Heartbeat(host=host, cell=cell, driver="fake", seen_at=self.clock.now(), site=site)
        self.inventory.store_heartbeats([beat])

    def certified(self, trust: HostTrust, cell: str) -> HostIdentity | None:
        trust.install(self.certify_hosts.certify(trust.host, cell, trust.signing_request()))
        return trust.identity


@pytest.fixture
def deployment() -> Deployment:
    return Deployment()


def test_a_host_is_certified_for_the_site_that_the_inventory_has(deployment: Deployment) -> None:
    deployment.beat("cmp-1", "cell1", "edge1")
    trust = HostTrust(host="cmp-1", cell="cell1", clock=deployment.clock)

    assert deployment.certified(trust, "cell1") == HostIdentity("cmp-1", "cell1", "edge1")


def test_a_host_asks_on_the_bus_of_its_own_cell(deployment: Deployment) -> None:
    deployment.beat("cmp-1", "cell1", "edge1")
    trust = HostTrust(host="cmp-1", cell="cell2", clock=deployment.clock)

    with pytest.raises(RelayRefused, match="on the bus of cell cell2, and the inventory has it in cell cell1"):
        deployment.certified(trust, "cell2")


def test_a_host_that_has_left_gets_no_further_certificate(deployment: Deployment) -> None:
    deployment.beat("cmp-1", "cell1", "")
    trust = HostTrust(host="cmp-1", cell="cell1", clock=deployment.clock)
    assert deployment.certified(trust, "cell1") == HostIdentity("cmp-1", "cell1", "cell1")
    deployment.clock.advance(timedelta(seconds=61))

    with pytest.raises(RelayRefused, match="its last heartbeat is 61 s old"):
        deployment.certified(trust, "cell1")
    deployment.inventory.delete_host("cmp-1", timedelta(seconds=60))
    with pytest.raises(HostNotFound):
        deployment.inventory.delete_host("cmp-1", timedelta(seconds=60))
    with pytest.raises(RelayRefused, match=r"Host cmp-1 .* it is not in the inventory"):
        deployment.certified(trust, "cell1")
