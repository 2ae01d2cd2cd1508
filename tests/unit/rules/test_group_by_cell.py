"""Every host of a job is placed once: to be asked, by cell; down; or unmapped."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.core.hosts import Host
from precache.rules.group_by_cell import RpcRequirement, group_by_cell

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DOWN_TIME = timedelta(seconds=60)
AGES = [None, timedelta(0), DOWN_TIME, DOWN_TIME + timedelta(microseconds=1)]


def host(name, cell="cell1", *, age=timedelta(0), forced_down=False, rpc_version=""):
    seen = None if age is None else NOW - age
    return Host(name, cell, "libvirt", forced_down, seen, rpc_version, silent_for=age)


def known(*hosts):
    return {one.name: one for one in hosts}


def test_hosts_of_a_cell_are_grouped_in_the_order_of_the_request():
    hosts = known(host("a", "east"), host("b", "west"), host("c", "east"))

    placed = group_by_cell(["c", "b", "a"], hosts, DOWN_TIME)

    assert placed.by_cell == {"east": (hosts["c"], hosts["a"]), "west": (hosts["b"],)}
    assert (placed.down, placed.unmapped) == ((), ())


@pytest.mark.parametrize(
    ("one", "place"),
    [
        (host("x", age=timedelta(0)), "up"),
        (host("x", age=DOWN_TIME), "up"),
        (host("x", age=DOWN_TIME + timedelta(microseconds=1)), "down"),
        (host("x", age=None), "down"),
        (host("x", age=timedelta(0), forced_down=True), "down"),
        (host("x", cell=None), "unmapped"),
        (host("x", cell=None, age=None, forced_down=True), "unmapped"),
        (host("other"), "unmapped"),
        # The clock of the store may have been set back.
        (host("x", age=-timedelta(hours=1)), "up"),
    ],
)
def test_a_host_is_placed_by_what_is_known_of_it(one, place):
    placed = group_by_cell(["x"], known(one), DOWN_TIME)

    assert (placed.by_cell, placed.down, placed.unmapped) == (
        {one.cell: (one,)} if place == "up" else {},
        (one,) if place == "down" else (),
        ("x",) if place == "unmapped" else (),
    )


@pytest.mark.parametrize(
    ("spoken", "needed", "pin", "place"),
    [
        ("1.1", "1.1", None, "asked"),
        ("1.2", "1.1", None, "asked"),
        ("1.0", "1.1", None, "outdated"),
        ("2.0", "1.1", None, "outdated"),
        ("nonsense", "1.1", None, "outdated"),
        ("", "1.1", None, "asked"),  # no bus lies between
        ("1.1", "1.1", "1.1", "asked"),
        ("1.1", "1.1", "1.0", "outdated"),
        ("", "1.1", "1.0", "outdated"),
    ],
)
def test_a_host_is_not_called_with_a_version_that_it_or_a_pin_excludes(spoken, needed, pin, place):
    one = host("x", rpc_version=spoken)

    placed = group_by_cell(["x"], known(one), DOWN_TIME, RpcRequirement(needed, pin))

    assert (placed.by_cell, placed.outdated) == (({"cell1": (one,)}, ()) if place == "asked" else ({}, (one,)))


def test_an_outdated_host_that_is_down_is_down():
    one = host("x", forced_down=True, rpc_version="0.9")

    placed = group_by_cell(["x"], known(one), DOWN_TIME, RpcRequirement("1.0"))

    assert (placed.down, placed.outdated) == ((one,), ())


def test_a_host_named_twice_is_asked_once():
    placed = group_by_cell(["a", "a", "b", "a"], known(host("a"), host("b")), DOWN_TIME)

    assert [one.name for one in placed.by_cell["cell1"]] == ["a", "b"]


def test_no_hosts_are_no_cells():
    assert group_by_cell([], known(host("a")), DOWN_TIME).by_cell == {}


NAMES = st.sampled_from("abcdefgh")
HOSTS = st.dictionaries(
    NAMES, st.tuples(st.sampled_from([None, "east", "west"]), st.sampled_from(AGES), st.booleans())
).map(lambda facts: known(*(host(name, c, age=age, forced_down=f) for name, (c, age, f) in facts.items())))


@given(st.lists(NAMES, max_size=16), HOSTS)
def test_every_host_is_in_exactly_one_place(names, hosts):
    placed = group_by_cell(names, hosts, DOWN_TIME)

    asked = [one.name for of_cell in placed.by_cell.values() for one in of_cell]
    everywhere = [*asked, *(one.name for one in placed.down), *placed.unmapped]
    assert sorted(everywhere) == sorted(set(names))


@given(st.lists(NAMES, max_size=16), HOSTS)
def test_only_hosts_that_are_up_are_asked_and_each_under_its_own_cell(names, hosts):
    placed = group_by_cell(names, hosts, DOWN_TIME)

    for cell, of_cell in placed.by_cell.items():
        assert of_cell
        assert all(one.cell == cell and one.is_up(DOWN_TIME) for one in of_cell)
