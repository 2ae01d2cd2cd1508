from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from precache.core.aggregates import AVAILABILITY_ZONE, Aggregate
from precache.rules.availability_zones import conflicting_zones

ZONES = st.sampled_from(["north", "south", None])
HOSTS = st.lists(st.sampled_from(["a", "b", "c"]), unique=True)


def aggregate(zone, hosts):
    metadata = {} if zone is None else {AVAILABILITY_ZONE: zone}
    return Aggregate(1, "u", "n", datetime(2026, 1, 1, tzinfo=UTC), hosts=tuple(hosts), metadata=metadata)


def test_zone_of_an_aggregate_with_a_common_host_conflicts():
    others = [aggregate("south", ["a"]), aggregate("south", ["b"]), aggregate("west", ["a", "b"])]

    assert conflicting_zones("north", ["a"], others) == ["south", "west"]


@given(HOSTS, st.lists(st.tuples(ZONES, HOSTS).map(lambda pair: aggregate(*pair))))
def test_same_zone_no_zone_and_strange_hosts_never_conflict(hosts, others):
    for zone in conflicting_zones("north", hosts, others):
        assert zone == "south"
        assert any(other.availability_zone == zone and set(other.hosts) & set(hosts) for other in others)


@given(st.lists(st.tuples(ZONES, HOSTS).map(lambda pair: aggregate(*pair))))
def test_no_hosts_no_conflict(others):
    assert conflicting_zones("north", [], others) == []
