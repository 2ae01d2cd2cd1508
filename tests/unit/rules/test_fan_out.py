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
        hosts.ended("fast")
        open_calls.append(hosts.take())

    assert [cell for cell, _ in open_calls].count("slow") == 5


def test_a_slow_cell_may_have_everything_once_the_others_are_done():
    hosts = fan_out(fast=2, slow=4)
    names(hosts, 4)
    hosts.ended("fast")
    hosts.ended("fast")

    assert names(hosts, 2) == ["slow2", "slow3"]
    assert hosts.take() is None


@given(CELLS, st.data())
def test_every_host_is_taken_once_whatever_ends_when(counts, data):
    hosts = fan_out(**counts)
    under_way, taken = [], []
    while len(hosts):
        if under_way and data.draw(st.booleans()):
            hosts.ended(under_way.pop(data.draw(st.integers(0, len(under_way) - 1))))
        cell, host = hosts.take()
        under_way.append(cell)
        taken.append(host.name)

    assert sorted(taken) == sorted(f"{cell}{n}" for cell, count in counts.items() for n in range(count))
    assert hosts.take() is None
