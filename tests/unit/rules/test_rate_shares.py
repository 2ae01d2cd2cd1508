"""The share of a host in the limit of a job."""

import pytest

from precache.core.images import parse_image_id
from precache.core.orders import ImageOrder, OrderOptions
from precache.rules.rate_shares import limited, share_of

IMAGE = parse_image_id("00000000-0000-0000-0000-000000000001")


@pytest.mark.parametrize(
    ("limit", "hosts", "share"), [(None, 4, None), (100, 4, 25), (100, 3, 33), (100, 0, 100), (2, 4, 1)]
)
def test_all_hosts_together_do_not_exceed_the_limit(limit, hosts, share):
    assert share_of(limit, hosts) == share


@pytest.mark.parametrize(
    ("own", "share", "rate"), [(None, None, None), (None, 25, 25), (10, 25, 10), (50, 25, 25), (50, None, 50)]
)
def test_the_lower_limit_counts(own, share, rate):
    order = ImageOrder(IMAGE, OrderOptions(rate_limit_bytes_per_s=own))

    assert limited(order, share) == ImageOrder(IMAGE, OrderOptions(rate_limit_bytes_per_s=rate))
