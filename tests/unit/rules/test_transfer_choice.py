"""From where the hosts of a job get its images."""

import pytest

from precache.core.host_calls import Place
from precache.core.hosts import Host
from precache.core.job_options import Transfer
from precache.core.transfer_rules import TransferRules
from precache.rules.transfer_choice import SwarmHost, can_take_part, choose_transfers

AUTO, DIRECT, SWARM = Transfer
EDGE, CORE = Place("cell1", "edge"), Place("cell1", "core")


def able(place, count, cache_id=""):
    return [SwarmHost(place, can_take_part=True, cache_id=cache_id)] * count


def unable(place, count):
    return [SwarmHost(place, can_take_part=False)] * count


def chosen(option, rules, hosts):
    return {place: choice.by_swarm for place, choice in choose_transfers(option, rules, hosts).items()}


@pytest.mark.parametrize(
    ("option", "transfer", "of_edge", "hosts", "by_swarm", "reason"),
    [
        (AUTO, AUTO, None, 3, True, "3 hosts can pass images on, and [swarm] min_hosts is 3"),
        (AUTO, AUTO, None, 2, False, "2 hosts can pass images on, and [swarm] min_hosts is 3"),
        (AUTO, DIRECT, None, 9, False, "[swarm] transfer says so"),
        (AUTO, SWARM, None, 1, True, "[swarm] transfer says so"),
        (AUTO, SWARM, DIRECT, 9, False, "[swarm] site_transfer says so for edge"),
        (AUTO, DIRECT, SWARM, 1, True, "[swarm] site_transfer says so for edge"),
        (AUTO, DIRECT, AUTO, 3, True, "3 hosts can pass images on, and [swarm] min_hosts is 3"),
        (DIRECT, SWARM, SWARM, 9, False, "the job says so"),
        (SWARM, DIRECT, DIRECT, 1, True, "the job says so"),
        (SWARM, DIRECT, DIRECT, 0, False, "no host that is up can pass images on"),
        (AUTO, AUTO, None, 0, False, "no host that is up can pass images on"),
        (DIRECT, AUTO, None, 0, False, "the job says so"),
    ],
)
def test_the_job_comes_before_the_site_and_the_site_before_the_service(
    option, transfer, of_edge, hosts, by_swarm, reason
):
    rules = TransferRules(transfer, {} if of_edge is None else {"edge": of_edge})

    choice = choose_transfers(option, rules, [*able(EDGE, hosts), *unable(EDGE, 5)])[EDGE]

    assert (choice.by_swarm, choice.reason) == (by_swarm, reason)


@pytest.mark.parametrize("option", [AUTO, SWARM])
def test_a_site_with_fewer_hosts_than_must_attest_an_image_fetches_directly(option):
    choices = choose_transfers(
        option,
        TransferRules(min_hosts=1, attestations=2, site_parents={"shop": "core"}),
        [*able(EDGE, 1), *able(CORE, 1), *able(Place("cell1", "shop"), 1)],
    )

    assert {place.site: choice.by_swarm for place, choice in choices.items()} == {
        "edge": False,
        "core": True,
        "shop": True,
    }
    assert choices[EDGE].reason == "1 host can pass images on, and [swarm] attestations is 2"


def test_each_site_counts_its_own_hosts_and_sites_of_two_cells_are_two():
    other = Place("cell2", "edge")

    assert chosen(AUTO, TransferRules(), [*able(EDGE, 2), *able(CORE, 3), *able(other, 2)]) == {
        EDGE: False,
        CORE: True,
        other: False,
    }


def test_hosts_that_share_a_cache_count_once():
    assert chosen(AUTO, TransferRules(), [*able(EDGE, 4, "nfs"), *able(EDGE, 1)]) == {EDGE: False}
    assert chosen(AUTO, TransferRules(), [*able(EDGE, 4, "nfs"), *able(EDGE, 2)]) == {EDGE: True}


def test_the_sites_of_a_tree_count_together_but_a_site_without_any_host_that_can_does_not_take_part():
    rules = TransferRules(site_parents={"edge": "core", "shop": "edge"}, by_site={"shop": DIRECT})
    shop, lab = Place("cell1", "shop"), Place("cell1", "lab")
    hosts = [*able(EDGE, 1), *able(CORE, 1), *able(shop, 1), *able(lab, 2)]

    assert chosen(AUTO, rules, hosts) == {EDGE: True, CORE: True, shop: False, lab: False}
    assert chosen(AUTO, rules, [*unable(EDGE, 1), *able(CORE, 3)]) == {EDGE: False, CORE: True}


@pytest.mark.parametrize(
    ("driver", "version", "needed", "pin", "can"),
    [
        ("libvirt", "1.5", "1.5", None, True),
        ("libvirt", "1.7", "1.5", "1.5", True),
        ("libvirt", "1.4", "1.5", None, False),
        ("libvirt", "", "1.5", None, False),
        ("libvirt", "1.5", "1.5", "1.4", False),
        ("uncached", "1.5", "1.5", None, False),
        ("libvirt", "", "", None, True),
        ("uncached", "", "", None, False),
    ],
)
def test_a_host_takes_part_if_its_driver_and_its_release_can_and_no_pin_forbids_it(driver, version, needed, pin, can):
    assert can_take_part(Host("a", "cell1", driver=driver, rpc_version=version), needed, pin) is can
