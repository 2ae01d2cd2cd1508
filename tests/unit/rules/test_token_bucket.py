"""How long to wait so that an average rate is kept."""

import pytest

from precache.rules.token_bucket import TokenBucket


def test_bytes_are_paid_for_with_time():
    bucket = TokenBucket(bytes_per_s=100, now_s=0.0)

    assert bucket.take(50, 0.0) == 0.5
    assert bucket.take(50, 0.5) == 0.5
    assert bucket.take(50, 2.0) == 0.0


@pytest.mark.parametrize("now_s", [1000.0, -1000.0])
def test_no_jump_of_the_clock_saves_up_more_than_a_second(now_s):
    bucket = TokenBucket(bytes_per_s=100, now_s=0.0)

    assert bucket.take(300, now_s) >= 2.0
