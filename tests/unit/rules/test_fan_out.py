"""The order in which hosts are asked: each once, and no cell at the cost of the others."""

from hypothesis import given
from hypothesis import strategies as st

from precache.core.hosts import Host
from precache.rules.fan_out import FanOut

CELLS = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 6))


def fan_out(**counts):
    return FanOut({cell: [Host(f"{cell}{n}", cell) for n in range(count)] for cell, count in counts.items()})


def names(hosts, count):
    """Take so many hosts and return their names."""
    taken = (hosts.take() for _ in range(count))
    return [found[1].name for found in taken if found]


def test_cells_take_turns_while_none_is_slower_than_the_others():
    assert names(fan_out(a=3, b=1, c=2), 6) == ["a0", "b0", "c0", "a1", "c1", "a2"]


def test_a_cell_in_which_nothing_ends_gets_no_more_than_its_share():
    hosts = fan_out(fast=100, slow=100)
    open_calls = [hosts.take() for _ in range(10)]
    for _ in range(50):
        # Only the hosts of one cell ever end; the other's calls stay open.
        ended = next(call for call in open_calls if call[0] == "fast")
        open_calls.remove(ended)
        hosts.ended(*ended)
        open_calls.append(hosts.take())

    assert [cell for cell, _ in open_calls].count("slow") == 5


def test_a_slow_cell_may_have_everything_once_the_others_are_done():
    hosts = fan_out(fast=2, slow=4)
    for cell, host in [hosts.take() for _ in range(4)]:
        if cell == "fast":
            hosts.ended(cell, host)

    assert names(hosts, 2) == ["slow2", "slow3"]
    assert hosts.take() is None


@given(CELLS, st.data())
def test_every_host_is_taken_once_whatever_ends_when(counts, data):
    hosts = fan_out(**counts)
    under_way, taken = [], []
    while len(hosts):
        if under_way and data.draw(st.booleans()):
            hosts.ended(*under_way.pop(data.draw(st.integers(0, len(under_way) - 1))))
        under_way.append(hosts.take())
        taken.append(under_way[-1][1].name)

    assert sorted(taken) == sorted(f"{cell}{n}" for cell, count in counts.items() for n in range(count))
    assert hosts.take() is None


def test_hosts_that_are_added_follow_those_that_wait():
    hosts = fan_out(a=2)

    hosts.add({"a": [Host("late", "a")], "b": [Host("b0", "b")]})

    assert len(hosts) == 4
    assert names(hosts, 4) == ["a0", "b0", "a1", "late"]


def test_sites_of_a_cell_take_turns():
    hosts = FanOut(
        {"a": [Host(f"{site}{n}", "a", announced_site=site) for site in ("north", "south") for n in range(2)]}
    )

    assert names(hosts, 4) == ["north0", "south0", "north1", "south1"]


def test_a_host_that_is_put_back_is_the_next_one():
    hosts = fan_out(a=2)

    hosts.put_back(*hosts.take())

    assert len(hosts) == 2
    assert names(hosts, 2) == ["a0", "a1"]


SITED_HOSTS = st.lists(
    st.builds(lambda cell, site: (cell, site), st.sampled_from("ab"), st.sampled_from(["", "x", "y"])), max_size=20
)


@given(SITED_HOSTS, st.integers(1, 3), st.data())
def test_no_site_has_more_calls_than_its_most_and_every_host_is_taken_once(places, most, data):
    every = [Host(f"h{n}", cell, announced_site=site) for n, (cell, site) in enumerate(places)]
    hosts = FanOut({cell: [host for host in every if host.cell == cell] for cell in "ab"}, most_per_site=most)
    under_way, taken = [], []
    while len(taken) < len(every):
        found = hosts.take()
        if found is None or (under_way and data.draw(st.booleans())):
            hosts.ended(*under_way.pop(data.draw(st.integers(0, len(under_way) - 1))))
        if found is not None:
            under_way.append(found)
            taken.append(found[1].name)
        in_sites = [host.site for _, host in under_way]
        assert all(in_sites.count(site) <= most for site in in_sites)

    assert sorted(taken) == sorted(host.name for host in every)


def test_as_many_hosts_work_at_once_as_their_sites_allow():
    hosts = fan_out(a=3, b=2)
    first = hosts.take()
    later = [Host("c0", "c"), Host("a9", "a")]

    counts = []
    for most in (None, 1, 3):
        hosts.most_per_site = most
        counts.append((hosts.most_at_once([]), hosts.most_at_once(later)))
    hosts.ended(*first)

    assert counts == [(5, 7), (2, 3), (5, 6)]
    assert hosts.most_at_once([]) == 4


def test_the_calls_of_other_hosts_of_the_job_count_for_the_limit_of_a_site():
    others = FanOut({"a": [Host("a9", "a")]}, most_per_site=2)
    hosts = FanOut({"a": [Host(f"a{number}", "a") for number in range(3)]}, most_per_site=2, beside=others)
    of_others = others.take()

    taken = hosts.take()

    assert hosts.take() is None
    assert (hosts.places(), others.places()) == ({("a", "a")}, {("a", "a")})
    others.ended(*of_others)
    assert hosts.take() is not None
    assert others.places() == set()
    hosts.put_back(*taken)
    assert len(hosts) == 2
