"""What the wrapper of a ComputeGateway adds: no host is told a higher rate than its share."""

from __future__ import annotations

import pytest

from precache.adapters.computes_wrapped import RateCapped
from precache.core.images import parse_image_id
from precache.core.orders import ImageOrder, OrderOptions
from precache.ports.compute_gateway import ImagesRequest

IMAGE = parse_image_id("70a599e0-31e7-49b7-b260-868f441e862b")


class Gateway:
    """Notes the rates of each message."""

    def __init__(self):
        self.told = []

    def process_images(self, request):
        self.told += [order.options.rate_limit_bytes_per_s for order in request.orders]
        return []

    def limit(self, job_id, host, cell, rates):
        self.told += rates.values()


@pytest.mark.parametrize(("rate", "told"), [(None, 100), (99, 99), (101, 100)])
def test_a_host_gets_the_lower_one_of_its_own_rate_and_its_share(rate, told):
    gateway = Gateway()
    capped = RateCapped(gateway, bytes_per_s=100)

    capped.process_images(
        ImagesRequest("job", "h", "c", (ImageOrder(IMAGE, OrderOptions(rate_limit_bytes_per_s=rate)),))
    )
    capped.limit("job", "h", "c", {IMAGE: rate})

    assert gateway.told == [told, told]
