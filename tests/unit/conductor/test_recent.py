"""A memory of bounded size."""

from hypothesis import given
from hypothesis import strategies as st

from precache.conductor.store_heartbeats import Recent


@given(st.lists(st.integers(0, 20)), st.integers(1, 5))
def test_it_keeps_the_last_ones_and_never_more_than_its_bound(keys, most):
    recent = Recent(most=most)
    for key in keys:
        recent.store(key, f"value of {key}")

    latest = list(dict.fromkeys(reversed(keys)))
    assert len(recent) == min(most, len(latest))
    assert [recent.find(key) is not None for key in latest] == [place < most for place in range(len(latest))]


def test_what_is_found_counts_as_new():
    recent = Recent(most=2)
    recent.store("a", 1)
    recent.store("b", 2)

    assert recent.find("a") == 1
    recent.store("c", 3)

    assert (recent.find("a"), recent.find("b"), recent.find("c")) == (1, None, 3)
