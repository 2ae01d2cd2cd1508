"""How long the downloads of a job take."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.rules.duration import Download, HostWork, Turns, image_service_bytes, seconds_of_work

RATES = {"one": 100.0, "two": 10.0}


def host(*downloads, cell="one", site="one", by_swarm=False):
    made = tuple(Download(*each) if isinstance(each, tuple) else Download(each) for each in downloads)
    return HostWork(cell, site, made, by_swarm, site)


def swarm(count, *downloads, site="one"):
    return [host(*downloads, site=site, by_swarm=True)] * count


@pytest.mark.parametrize(
    ("work", "turns", "seconds"),
    [
        ([], Turns(1), 0),
        ([host()], Turns(1), 0),
        ([host(cell="unmeasured")], Turns(1), 0),
        ([host(1000)], Turns(1), 10),
        ([host(1000, 500)], Turns(1), 15),
        ([host(1000), host(1000)], Turns(1), 20),
        ([host(1000), host(1000)], Turns(2), 10),
        ([host(1000), host(1000)], Turns(50), 10),
        ([host(1000), host(1000, cell="two", site="two")], Turns(2), 100),
        ([host((1000, 50))], Turns(1), 20),
        ([host((1000, 500))], Turns(1), 10),
        ([host(1000, site="a"), host(1000, site="a"), host(1000, site="b")], Turns(10, hosts_per_site=1), 20),
        ([host(1000, site="a"), host(1000, site="b")], Turns(10, hosts_per_cell=1), 20),
        ([host(1000), host(1000)], Turns(2, bytes_per_s=20), 100),
        ([host(1000), host(1000)], Turns(2, host_bytes_per_s=50), 20),
        ([host(1000, cell="unmeasured")], Turns(1), None),
        # Hosts by swarm take other turns, and each is a tenth of a second behind its parent.
        (swarm(6, 1000), Turns(1, swarm_hosts=500), 10.5),
        ([*swarm(6, 1000), host(2000)], Turns(1, swarm_hosts=500), 20),
        ([*swarm(6, 1000), *swarm(11, 1000, site="two")], Turns(1, swarm_hosts=500), 11),
        (swarm(6, 1000), Turns(9, swarm_hosts=1), 60),
        (swarm(3, 1000), Turns(1, swarm_hosts=3, hosts_per_site=1), 30.6),
        ([*swarm(6, 1000), *swarm(6, 1000, site="two")], Turns(1, bytes_per_s=20, swarm_hosts=500), 100),
        (swarm(6, 1000), Turns(1, bytes_per_s=20, swarm_hosts=500, origins_per_relay=2), 100),
    ],
)
def test_hosts_take_turns_and_no_limit_is_exceeded(work, turns, seconds):
    assert seconds_of_work(work, RATES, turns) == (seconds if seconds is None else pytest.approx(seconds))


def test_hosts_of_a_chain_are_the_less_behind_each_other_the_faster_the_links_are():
    seconds = seconds_of_work(swarm(501, 16 * 125_000_000), {"one": 125_000_000.0}, Turns(1, swarm_hosts=501))
    assert seconds == pytest.approx(16 + 500 * 0.0041, rel=0.001)


def test_the_image_service_sends_each_image_once_to_the_hosts_of_a_site_by_swarm():
    images = [(1000, None, "a"), (1000, None, "b")]
    work = [*swarm(6, *images), *swarm(2, images[0], site="two"), host(*images), host(images[1])]

    assert sum(image_service_bytes(work)) == 2000 + 1000 + 2000 + 1000
    assert sum(image_service_bytes(work, origins_per_relay=2)) == 4000 + 2000 + 3000


def test_the_sites_of_a_tree_get_each_image_once_at_its_top():
    shop = [replace(each, relay_site="region") for each in swarm(2, (1000, None, "a"), site="shop")]

    assert image_service_bytes([*shop, *swarm(2, (1000, None, "a"), site="region")]) == [0, 0, 1000, 0]
    assert image_service_bytes(shop) == [1000, 0]


WORK = st.lists(
    st.builds(
        HostWork,
        st.sampled_from(["one", "two"]),
        st.sampled_from(["a", "b", "c"]),
        st.lists(st.builds(Download, st.integers(0, 10**12), st.none() | st.integers(1, 10**9)), max_size=3).map(tuple),
    ),
    max_size=12,
)
TURNS = st.builds(
    Turns,
    hosts=st.integers(1, 20),
    hosts_per_site=st.none() | st.integers(1, 5),
    bytes_per_s=st.none() | st.integers(1, 10**9),
)


@given(WORK, TURNS)
def test_the_time_is_between_that_of_the_slowest_host_and_that_of_one_host_after_another(work, turns):
    unlimited = Turns(turns.hosts, turns.hosts_per_site)
    alone = [seconds_of_work([each], RATES, Turns(1)) for each in work]

    seconds = seconds_of_work(work, RATES, unlimited)

    assert max(alone, default=0) <= seconds <= sum(alone) * (1 + 1e-9)
    assert seconds <= seconds_of_work(work, RATES, turns)


@given(WORK, TURNS)
def test_more_turns_and_faster_networks_never_take_longer(work, turns):
    seconds = seconds_of_work(work, RATES, turns)

    assert seconds_of_work(work, RATES, replace(turns, hosts=turns.hosts + 1)) <= seconds
    assert seconds_of_work(work, {cell: 2 * rate for cell, rate in RATES.items()}, turns) <= seconds
