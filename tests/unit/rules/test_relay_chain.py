"""The hosts of a relay as an operator looks at them."""

from hypothesis import given
from hypothesis import strategies as st

from precache.core.images import parse_image_id
from precache.core.relays import Form, MemberState, Relay, RelayKey, RelayMember, Source
from precache.rules.relay_chain import ChainHost, chain_of

KEY = RelayKey("cell1", "edge", parse_image_id("70a599e0-31e7-49b7-b260-868f441e862b"), Form.RAW)
LEFT, COMPLETE = MemberState.LEFT, MemberState.COMPLETE


def seeder(host, **fields):
    return RelayMember(host=host, source=Source.IMAGE_SERVICE, **fields)


def child(host, parent, **fields):
    return RelayMember(host=host, source=Source.HOST, parent=parent, **fields)


def chain(*members):
    return chain_of(Relay(id="r", key=KEY, members=members))


def shown(*members):
    return [(each.member.host, each.depth) for each in chain(*members)]


def test_each_seeder_comes_with_those_behind_it_then_those_that_wait_then_those_that_left():
    members = (
        RelayMember(host="waits"),
        child("c", "b"),
        child("gone", "s1", state=LEFT),
        child("b", "s1"),
        child("leaf", "s1"),
        seeder("s1", state=COMPLETE),
        seeder("s2"),
        child("d", "s2"),
        child("orphan", "gone"),
    )

    chained = [("s1", 0), ("b", 1), ("c", 2), ("leaf", 1), ("s2", 0), ("d", 1)]
    assert shown(*members) == [*chained, ("waits", None), ("orphan", None), ("gone", None)]


def test_the_lag_is_what_the_parent_has_more_and_its_time_at_the_rate():
    members = (
        seeder("s", have_bytes=900, rate_bytes_per_s=100),
        child("a", "s", have_bytes=700, offered_bytes=900, rate_bytes_per_s=50),
        child("b", "a", have_bytes=650, offered_bytes=700),
        child("c", "b", have_bytes=600, offered_bytes=650),
        child("d", "c", have_bytes=600, offered_bytes=600),
        child("e", "d", have_bytes=900, offered_bytes=600, state=COMPLETE),
    )

    assert [(each.lag_bytes, each.lag_s) for each in chain(*members)] == [
        (None, None),
        (200, 4.0),
        (50, 1.0),
        (50, None),
        (0, 0.0),
        (None, None),
    ]


NAMES = [f"h{number}" for number in range(6)]
MEMBERS = st.lists(
    st.builds(
        RelayMember,
        host=st.sampled_from(NAMES),
        source=st.sampled_from(Source),
        parent=st.sampled_from(["", *NAMES]),
        state=st.sampled_from(MemberState),
    ),
    unique_by=lambda member: member.host,
)


@given(MEMBERS)
def test_every_host_is_shown_once_even_if_the_plan_has_a_circle(members):
    found: list[ChainHost] = chain(*members)

    assert sorted(each.member.host for each in found) == sorted(member.host for member in members)
