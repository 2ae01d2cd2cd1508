"""A download that is limited to a rate."""

import pytest

from precache.core.orders import CacheOptions
from tests.unit.fetch.world import World


@pytest.mark.parametrize("rate", [1000, 5])
def test_a_limited_download_takes_as_long_as_its_rate_says(tmp_path, rate):
    world, data = World(tmp_path / "cache"), bytes(range(100)) * 2
    began = world.clock.now()

    path = world.fetch(data, "raw", options=CacheOptions(rate_limit_bytes_per_s=rate))

    assert path.read_bytes() == data
    assert (world.clock.now() - began).total_seconds() == pytest.approx(len(data) / rate)
