"""Which calls are more than a job may have."""

import pytest

from precache.core.hosts import Host
from precache.rules.excess_calls import excess_calls


def calls(text):
    """Return calls out of `HOST@SITE ...`."""
    named = (word.split("@") for word in text.split())
    return [("cell1", Host(name, "cell1", announced_site=site)) for name, site in named]


@pytest.mark.parametrize(
    ("most", "most_per_site", "excess"),
    [
        (None, None, ""),
        (4, 3, ""),
        (2, None, "c d"),
        (1, None, "b c d"),
        (None, 1, "b d"),
        (None, 2, "d"),
        (3, 1, "b d"),
        (1, 1, "b c d"),
    ],
)
def test_the_calls_that_began_last_are_too_many(most, most_per_site, excess):
    found = excess_calls(calls("a@x b@x c@y d@x"), most=most, most_per_site=most_per_site)

    assert [host.name for _, host in found] == excess.split()
