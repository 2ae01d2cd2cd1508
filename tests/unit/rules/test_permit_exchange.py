"""When a conductor exchanges permits: many hosts share one exchange, and few do not wait long."""

import pytest

from precache.rules.permit_exchange import LONGEST_PAUSE_S, SHORTEST_PAUSE_S, pause_before_exchange_s


@pytest.mark.parametrize(
    ("returned", "held", "is_urgent", "is_waiting", "pause_s"),
    [
        (0, 10, False, False, None),
        (0, 0, False, False, None),
        (0, 10, False, True, LONGEST_PAUSE_S),
        (0, 10, True, False, SHORTEST_PAUSE_S),
        (1, 10, False, False, LONGEST_PAUSE_S),
        (3, 10, False, False, SHORTEST_PAUSE_S),
        (1, 1, False, True, SHORTEST_PAUSE_S),
        (24, 100, False, True, LONGEST_PAUSE_S),
    ],
)
def test_the_pause_before_an_exchange(returned, held, is_urgent, is_waiting, pause_s):
    assert pause_before_exchange_s(returned, held, is_urgent=is_urgent, is_waiting=is_waiting) == pause_s
