"""Eviction begins above the high mark, ends at the low one, and never takes what is needed."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.core.cache_entries import CacheSpace
from precache.core.sizes import DiskAmount
from precache.rules.eviction import CachePolicy, Candidate, Watermarks, choose_evicted, least_valuable_first

HOUR = timedelta(hours=1)

CANDIDATES = st.lists(
    st.builds(
        Candidate,
        name=st.text("abcdef0123456789", min_size=1, max_size=4),
        unused_for=st.timedeltas(min_value=-400 * 24 * HOUR, max_value=400 * 24 * HOUR),
        size_bytes=st.integers(min_value=0, max_value=100),
        disks_seen=st.integers(min_value=0, max_value=5),
        is_pinned=st.booleans(),
        is_in_use=st.booleans(),
        is_in_flight=st.booleans(),
    ),
    unique_by=lambda candidate: candidate.name,
    max_size=12,
)
POLICIES = st.sampled_from(CachePolicy)
NEEDED = st.integers(min_value=0, max_value=300)


def marks(**amounts: str) -> Watermarks:
    return Watermarks(**{name: DiskAmount.parse(text) for name, text in amounts.items()})


@pytest.mark.parametrize(
    ("watermarks", "used", "free", "evicted"),
    [
        (marks(), 900, 0, 0),
        (marks(above_used="80%", to_used="70%"), 800, 200, 0),
        (marks(above_used="80%", to_used="70%"), 801, 199, 101),
        (marks(above_used="80%"), 801, 199, 1),
        (marks(above_used="500B", to_used="0"), 501, 100, 501),
        (marks(below_free="10%", to_free="15%"), 300, 100, 0),
        (marks(below_free="10%", to_free="15%"), 300, 99, 51),
        (marks(below_free="100B"), 300, 40, 60),
        # One pair begins the eviction, and both end it.
        (marks(above_used="80%", to_used="70%", below_free="10%", to_free="25%"), 750, 90, 160),
        (marks(above_used="80%", to_used="20%", below_free="10%", to_free="25%"), 750, 90, 550),
        (marks(above_used="80%", to_used="20%", below_free="10%", to_free="25%"), 750, 100, 0),
    ],
)
def test_eviction_goes_from_the_high_mark_to_the_low_one(
    watermarks: Watermarks, used: int, free: int, evicted: int
) -> None:
    space = CacheSpace(total_bytes=1000, free_bytes=free, used_bytes=used)

    assert watermarks.bytes_to_evict(space) == evicted


@pytest.mark.parametrize(
    ("policy", "names"),
    [
        (CachePolicy.AGE, ["old", "popular", "new", "future"]),
        (CachePolicy.LRU, ["old", "popular", "new", "future"]),
        (CachePolicy.POPULARITY, ["new", "future", "old", "popular"]),
        (CachePolicy.KEEP, []),
    ],
)
def test_the_policy_says_what_is_the_least_valuable(policy: CachePolicy, names: list[str]) -> None:
    candidates = [
        Candidate("new", HOUR, 10),
        Candidate("old", 9 * HOUR, 10, disks_seen=1),
        Candidate("popular", 8 * HOUR, 10, disks_seen=50),
        Candidate("future", -HOUR, 10),
        Candidate("pinned", 99 * HOUR, 10, is_pinned=True),
        Candidate("used", 99 * HOUR, 10, is_in_use=True),
        Candidate("in flight", 99 * HOUR, 10, is_in_flight=True),
    ]

    assert [candidate.name for candidate in least_valuable_first(candidates, policy)] == names


def test_what_was_used_later_stays_though_it_alone_would_free_enough() -> None:
    candidates = [Candidate("a", 3 * HOUR, 1), Candidate("b", 2 * HOUR, 1), Candidate("c", HOUR, 10)]

    chosen = choose_evicted(candidates, 2, CachePolicy.LRU, all_or_nothing=True)
    all_of_them = choose_evicted(candidates, 10, CachePolicy.LRU, all_or_nothing=True)

    assert [candidate.name for candidate in chosen] == ["a", "b"]
    assert [candidate.name for candidate in all_of_them] == ["a", "b", "c"]


@given(candidates=CANDIDATES, needed=NEEDED, policy=POLICIES, all_or_nothing=st.booleans())
def test_the_least_valuable_go_first_and_no_more_of_them_than_needed(
    candidates: list[Candidate], needed: int, policy: CachePolicy, all_or_nothing: bool
) -> None:
    chosen = choose_evicted(candidates, needed, policy, all_or_nothing=all_or_nothing)

    freed = sum(candidate.size_bytes for candidate in chosen)
    in_order = [candidate for candidate in least_valuable_first(candidates, policy) if candidate.size_bytes]
    at_most = sum(candidate.size_bytes for candidate in in_order)
    assert all(candidate.is_evictable for candidate in chosen)
    assert chosen == in_order[: len(chosen)]
    assert freed >= needed if at_most >= needed else freed == (0 if all_or_nothing else at_most)
    if chosen:
        assert freed - chosen[-1].size_bytes < needed


@given(candidates=CANDIDATES, needed=NEEDED, policy=st.sampled_from([CachePolicy.AGE, CachePolicy.LRU]))
def test_nothing_evictable_that_was_used_earlier_stays(
    candidates: list[Candidate], needed: int, policy: CachePolicy
) -> None:
    chosen = choose_evicted(candidates, needed, policy, all_or_nothing=False)

    stays = [each for each in candidates if each.is_evictable and each.size_bytes and each not in chosen]
    newest = min((each.unused_for for each in chosen), default=timedelta.max)
    assert all(each.unused_for <= newest for each in stays)


@given(candidates=CANDIDATES, needed=NEEDED, policy=POLICIES, seed=st.integers())
def test_equal_input_gives_equal_output_in_whatever_order(
    candidates: list[Candidate], needed: int, policy: CachePolicy, seed: int
) -> None:
    shuffled = candidates.copy()
    Random(seed).shuffle(shuffled)

    assert choose_evicted(shuffled, needed, policy, all_or_nothing=False) == choose_evicted(
        candidates, needed, policy, all_or_nothing=False
    )
