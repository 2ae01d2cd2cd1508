"""What is remembered of the rates of a host."""

import pytest

from precache.core.host_rates import HostRates
from precache.core.relays import RelayMember, Source
from precache.rules.host_rates import remembered


@pytest.mark.parametrize(
    ("source", "rate", "after"),
    [
        (Source.HOST, 900, HostRates(800, 900)),
        (Source.HOST, 10, HostRates(800, 350)),
        (Source.IMAGE_SERVICE, 900, HostRates(900, 400)),
        (Source.IMAGE_SERVICE, 10, HostRates(700, 400)),
        (Source.WAIT, 900, HostRates(800, 400)),
        (Source.HOST, 0, HostRates(800, 400)),
    ],
)
def test_the_best_recent_rate_of_each_source_is_remembered(source, rate, after):
    member = RelayMember(host="cmp-1", source=source, rate_bytes_per_s=rate)

    assert remembered(HostRates(800, 400), member) == after
