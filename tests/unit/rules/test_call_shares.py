"""Who may call further hosts: no limit is exceeded, nothing is left unused, a higher priority comes first."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.core.host_calls import CallLimits, Place, Wish
from precache.rules.call_shares import JobShare, share_calls

PLACES = [Place(cell, site) for cell in "ab" for site in ("x", "y", cell)]
X, Y, B = Place("a", "x"), Place("a", "y"), Place("b", "b")


def job(name, *, held=None, wanted=None, owner="one", priority=50, room=100, last_grant=0, **options):
    wish = None if wanted is None else Wish(wanted, room=room, **options)
    return JobShare(name, owner, priority, Counter(held or {}), wish, last_grant)


def counts(jobs, **limits):
    return {name: dict(Counter(places)) for name, places in share_calls(jobs, CallLimits(**limits)).items() if places}


@pytest.mark.parametrize(
    ("jobs", "limits", "given"),
    [
        ([job("j", wanted={X: 5})], {"hosts": 3}, {"j": {X: 3}}),
        ([job("j", held={X: 2}, wanted={X: 5})], {"hosts": 3}, {"j": {X: 1}}),
        ([job("j", held={X: 9}, wanted={X: 5})], {"hosts": 3}, {}),
        ([job("j", wanted={X: 5}, room=2)], {"hosts": 3}, {"j": {X: 2}}),
        ([job("j", wanted={X: 5}, most=1)], {"hosts": 3}, {"j": {X: 1}}),
        ([job("j", wanted={X: 5, Y: 5, B: 5})], {"hosts_per_cell": 2}, {"j": {X: 1, Y: 1, B: 2}}),
        ([job("j", wanted={X: 5, B: 1})], {"hosts_per_site": 2}, {"j": {X: 2, B: 1}}),
        ([job("j", wanted={X: 5, B: 1}, most_per_site=1)], {"hosts": 9}, {"j": {X: 1, B: 1}}),
        ([job("low", wanted={X: 5}), job("high", wanted={X: 2}, priority=51)],
         {"hosts": 3}, {"low": {X: 1}, "high": {X: 2}}),
        ([job("old", held={X: 3}, wanted={X: 5}), job("new", wanted={X: 5})],
         {"hosts": 7}, {"new": {X: 3}, "old": {X: 1}}),
        ([job("a", wanted={X: 1}, last_grant=2), job("b", wanted={X: 1}, last_grant=1)], {"hosts": 1}, {"b": {X: 1}}),
        # The room of a conductor is for all its jobs, and that of another one is not reduced.
        ([job("a", wanted={X: 5}, room=1), job("b", wanted={X: 5}, room=1), job("c", wanted={X: 5}, owner="two")],
         {"hosts": 9}, {"a": {X: 1}, "c": {X: 5}}),
        # A job that is blocked leaves the rest to a lower priority.
        ([job("high", wanted={X: 5}, priority=60), job("low", wanted={B: 5})],
         {"hosts_per_site": 2}, {"high": {X: 2}, "low": {B: 2}}),
        # Hosts by swarm use another room of their conductor, and the same limits.
        ([job("j", wanted={X: 5}, room=1, swarm_hosts={Y: 5}, swarm_room=3)], {"hosts": 9}, {"j": {X: 1, Y: 3}}),
        ([job("j", wanted={X: 5}, room=0, swarm_hosts={X: 5}, swarm_room=9)], {"hosts_per_site": 2}, {"j": {X: 2}}),
        ([job("a", wanted={X: 5}, swarm_room=2), job("b", wanted={}, swarm_hosts={X: 5}, swarm_room=2)],
         {"hosts": 99}, {"a": {X: 5}, "b": {X: 2}}),
        ([job("j", wanted={X: 1}, swarm_hosts={X: 5, Y: 5}, swarm_room=9, most=4)],
         {"hosts_per_site": 2}, {"j": {X: 2, Y: 2}}),
        # A dead conductor's job has no wish, but its permits count.
        ([job("dead", held={X: 2}, owner="dead"), job("j", wanted={X: 5})], {"hosts": 3}, {"j": {X: 1}}),
    ],
)  # fmt: skip
def test_shares(jobs, limits, given):
    assert counts(jobs, **limits) == given


COUNTS = st.dictionaries(st.sampled_from(PLACES), st.integers(1, 4), max_size=4)
MOST = st.none() | st.integers(1, 5)
JOBS = st.lists(
    st.builds(
        lambda held, wanted, owner, priority, room, grant, most, per_site: {
            "held": held, "wanted": wanted, "owner": owner, "priority": priority, "room": room, "last_grant": grant,
            "most": most, "most_per_site": per_site,
        },
        COUNTS, COUNTS, st.sampled_from(["one", "two"]), st.integers(49, 51), st.integers(0, 6), st.integers(0, 9),
        MOST, MOST,
    ),
    max_size=6,
).map(lambda all_: [job(f"job{number}", **fields) for number, fields in enumerate(all_)])  # fmt: skip
LIMITS = st.builds(CallLimits, st.integers(0, 12), st.integers(0, 6), st.integers(0, 4))


def held_after(jobs, given):
    return {each.job: each.held + Counter(given[each.job]) for each in jobs}


def is_possible(jobs, after, given, limits, each, place):
    """Return whether the job could still get a permit there. The rule's own words, in the simplest form."""
    total = sum(after.values(), Counter())
    rooms = [other.wish.room for other in jobs if other.owner == each.owner]
    used = sum(len(given[other.job]) for other in jobs if other.owner == each.owner)
    own = after[each.job]
    return (
        each.wish.hosts.get(place, 0) > Counter(given[each.job])[place]
        and used < min(rooms)
        and (not limits.hosts or total.total() < limits.hosts)
        and (not limits.hosts_per_cell or in_cell(total, place) < limits.hosts_per_cell)
        and (not limits.hosts_per_site or in_site(total, place) < limits.hosts_per_site)
        and (each.wish.most is None or own.total() < each.wish.most)
        and (each.wish.most_per_site is None or in_site(own, place) < each.wish.most_per_site)
    )


def in_cell(held, place):
    return sum(count for other, count in held.items() if other.cell == place.cell)


def in_site(held, place):
    return sum(count for other, count in held.items() if other.site == place.site)


@given(JOBS, LIMITS)
def test_nothing_is_given_beyond_a_limit_a_wish_or_the_room(jobs, limits):
    given = share_calls(jobs, limits)

    # Take the last permits back one by one: each must have been possible before it was given.
    for each in jobs:
        while given[each.job]:
            place = given[each.job].pop()
            assert is_possible(jobs, held_after(jobs, given), given, limits, each, place)


@given(JOBS, LIMITS)
def test_no_permit_that_a_job_could_use_is_left(jobs, limits):
    given = share_calls(jobs, limits)

    after = held_after(jobs, given)
    assert not any(is_possible(jobs, after, given, limits, each, place) for each in jobs for place in PLACES)


@given(JOBS, LIMITS)
def test_what_a_job_gets_does_not_depend_on_jobs_with_a_lower_priority(jobs, limits):
    def others_wish_nothing(each):
        return JobShare(each.job, each.owner, each.priority, each.held, None, each.last_grant)

    high = [each if each.priority == 51 else others_wish_nothing(each) for each in jobs]
    rooms = {each.owner: min(other.wish.room for other in jobs if other.owner == each.owner) for each in jobs}
    high = [
        each if each.wish is None else JobShare(
            each.job, each.owner, each.priority, each.held,
            Wish(each.wish.hosts, each.wish.most, each.wish.most_per_site, rooms[each.owner]), each.last_grant,
        )
        for each in high
    ]  # fmt: skip

    together, alone = share_calls(jobs, limits), share_calls(high, limits)

    assert all(together[each.job] == alone[each.job] for each in jobs if each.priority == 51)


@given(st.lists(st.integers(0, 8), min_size=2, max_size=5), st.integers(1, 30))
def test_jobs_of_one_priority_get_equal_shares(held, limit):
    jobs = [job(f"job{number}", held={X: count}, wanted={X: 100}) for number, count in enumerate(held)]

    given = share_calls(jobs, CallLimits(hosts=limit))

    after = [sum(counts_.values()) for counts_ in held_after(jobs, given).values()]
    got = [count for count, before in zip(after, held, strict=True) if count > before]
    assert not got or max(got) - min(after) <= 1
