"""The limit that a running download has after changes of its job."""

import pytest

from precache.compute.job_rates import CAPACITY, JobRates
from precache.compute.steering_mark import SteeringMark
from precache.core.images import parse_image_id
from precache.core.orders import ImageOrder, OrderOptions
from precache.ports.compute_gateway import CallNumber, ImagesRequest

IMAGE = parse_image_id("00000000-0000-0000-0000-000000000001")
OTHER = parse_image_id("00000000-0000-0000-0000-000000000002")
LATE = 10**6
"""After all changes: as a request that a change has overtaken."""

ORDER = ImageOrder(IMAGE, OrderOptions(rate_limit_bytes_per_s=10))


def request(call, job="job", arrival=LATE):
    return ImagesRequest(job, "cmp-1", "cell1", (ORDER,), call=call, arrival=arrival)


def mark(number):
    return SteeringMark(CallNumber("a", number), arrival=number)


@pytest.mark.parametrize(
    ("changes", "call", "rate"),
    [
        ([], CallNumber("a", 1), 10),
        ([{IMAGE: 20}], CallNumber("a", 1), 20),
        ([{IMAGE: None}], CallNumber("a", 1), None),
        ([{OTHER: 20}], CallNumber("a", 1), 10),
        ([{IMAGE: 20}, {OTHER: 5}], CallNumber("a", 1), 20),
        ([{IMAGE: 20}, {IMAGE: 30}], CallNumber("a", 1), 30),
        # A later request has the limit in its order.
        ([{IMAGE: 20}], CallNumber("a", 200), 10),
        ([{IMAGE: 20}], CallNumber("another", 1), 10),
        ([{IMAGE: 20}], None, 10),
    ],
)
def test_a_change_applies_to_the_requests_before_it(changes, call, rate):
    rates = JobRates()

    for number, change in enumerate(changes):
        rates.change("job", change, mark(100 + number))

    assert rates.rate_of(request(call), ORDER) == rate
    assert rates.rate_of(request(call, job="other"), ORDER) == 10


def test_a_change_by_the_next_conductor_applies_to_the_request_that_is_being_worked_on():
    rates = JobRates()

    rates.change("job", {IMAGE: 20}, SteeringMark(CallNumber("the next", 1), arrival=8))

    arrivals = {arrival: rates.rate_of(request(CallNumber("a", 5), arrival=arrival), ORDER) for arrival in (7, 9)}
    assert arrivals == {7: 20, 9: 10}


def test_the_oldest_changes_are_removed_beyond_the_capacity():
    rates = JobRates()

    for number in range(CAPACITY + 1):
        rates.change(f"job-{number}", {IMAGE: 20}, mark(number + 2))

    limits = [rates.rate_of(request(CallNumber("a", 1), f"job-{number}"), ORDER) for number in (0, 1, CAPACITY)]
    assert limits == [10, 20, 20]
