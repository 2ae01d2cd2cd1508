"""In which order the sites of a job are called."""

from datetime import timedelta
from types import SimpleNamespace

import pytest

from precache.conductor.choose_transfers import ChooseTransfers, SwarmDispatch
from precache.core.hosts import Host
from precache.core.job_options import JobOptions
from precache.core.operations import Operation
from precache.core.transfer_rules import TransferRules

SITES = {"a": "shop", "b": "town", "c": "shop", "d": "land", "e": "lab"}
HOSTS = [Host(name, "cell1", announced_site=site, silent_for=timedelta()) for name, site in SITES.items()]


@pytest.mark.parametrize(
    ("parents", "order"),
    [({}, "acbde"), ({"shop": "town"}, "bdeac"), ({"shop": "town", "town": "land"}, "debac")],
)
def test_hosts_of_a_site_come_before_those_of_sites_below_it(parents, order):
    run = SimpleNamespace(
        job=SimpleNamespace(id="job", operation=Operation.CACHE, options=JobOptions()),
        remaining=SimpleNamespace(hosts=[host.name for host in HOSTS]),
        known={host.name: host for host in HOSTS},
        by_swarm=set(),
    )
    swarm = SwarmDispatch(TransferRules(site_parents=parents))
    choose = ChooseTransfers(hosts=None, service_down_time=timedelta(minutes=1), swarm=swarm)

    assert "".join(host.name for host in choose(run, HOSTS)) == order
