"""Which hosts are canaries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.core.job_options import Canary
from precache.rules.canaries import canary_count, spread_first

PLACES = {
    "a1": ("cell-a", "site-1"),
    "a2": ("cell-a", "site-1"),
    "a3": ("cell-a", "site-2"),
    "b1": ("cell-b", "site-3"),
    "b2": ("cell-b", "site-3"),
    "c1": ("cell-c", "site-4"),
}


def test_they_are_spread_over_cells_first_and_then_over_the_sites_of_each():
    order = spread_first(list(PLACES), 6, PLACES.get)

    assert order == ["a1", "b1", "c1", "a3", "b2", "a2"]
    assert [spread_first(list(PLACES), count, PLACES.get) for count in range(6)] == [
        order[:count] for count in range(6)
    ]


@pytest.mark.parametrize(
    ("canary", "hosts", "count"),
    [
        (Canary(hosts=2), 10, 2),
        (Canary(hosts=20), 10, 10),
        (Canary(percent=10), 200, 20),
        (Canary(percent=1), 201, 3),
        (Canary(percent=1), 5, 1),
        (Canary(percent=100), 5, 5),
    ],
)
def test_there_is_at_least_one_and_a_percentage_is_rounded_up(canary, hosts, count):
    assert canary_count(canary, hosts) == count


def test_a_host_that_cannot_be_called_is_chosen_last():
    assert spread_first(["nowhere", "a1", "b1"], 3, PLACES.get) == ["a1", "b1", "nowhere"]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), max_size=20),
    st.integers(0, 25),
)
def test_cells_differ_by_one_at_most_while_each_has_hosts_left(places, count):
    hosts = {f"host-{number}": place for number, place in enumerate(places)}

    chosen = spread_first(list(hosts), count, hosts.get)

    assert len(chosen) == len(set(chosen)) == min(count, len(hosts))
    of_cell = {cell: sum(hosts[host][0] == cell for host in chosen) for cell, _ in places}
    has_left = {cell for host, (cell, _) in hosts.items() if host not in chosen}
    assert all(of_cell[cell] >= max(of_cell.values()) - 1 for cell in has_left)
