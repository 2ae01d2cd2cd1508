"""Which fields of a request each operation takes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from precache.core.errors import InvalidOption
from precache.core.operations import Operation
from precache.core.orders import OrderOptions
from precache.rules.operation_fields import check_fields, check_keep_until

NOW = datetime(2030, 1, 1, tzinfo=UTC)
VALUES = {
    "rate_limit_bytes_per_s": 7,
    "job_rate_limit_bytes_per_s": 7,
    "keep_for_s": 60,
    "keep_until": "2036-01-01T00:00:00Z",
    "even_pinned": True,
    "transfer": "direct",
    "base": "70a599e0-31e7-49b7-b260-868f441e862b",
}
TAKEN = {
    Operation.CACHE: {
        "rate_limit_bytes_per_s",
        "job_rate_limit_bytes_per_s",
        "keep_for_s",
        "keep_until",
        "transfer",
        "base",
    },
    Operation.VERIFY: {"rate_limit_bytes_per_s", "job_rate_limit_bytes_per_s"},
    Operation.PURGE: {"even_pinned"},
    Operation.PIN: {"keep_for_s", "keep_until"},
    Operation.UNPIN: set(),
}


@pytest.mark.parametrize("operation", Operation)
@pytest.mark.parametrize("field", VALUES)
def test_a_field_is_taken_by_the_operations_for_which_it_means_something(operation, field):
    given = {"images": [], "parallelism": 7, field: VALUES[field]}

    if field in TAKEN[operation]:
        check_fields(operation, given)
    else:
        with pytest.raises(InvalidOption, match=f"^{field} must be left out with the operation {operation} "):
            check_fields(operation, given)


def test_the_message_names_the_operations_that_take_the_field():
    with pytest.raises(InvalidOption, match=r"\(cache and pin take it\), not 60$"):
        check_fields(Operation.VERIFY, {"keep_for_s": 60})
    with pytest.raises(InvalidOption, match=r"\(purge takes it\), not true$"):
        check_fields(Operation.CACHE, {"even_pinned": True})


def test_a_default_is_no_field():
    check_fields(Operation.PURGE, {"rate_limit_bytes_per_s": None})


TEN_YEARS = timedelta(days=3660)


@pytest.mark.parametrize("until", [NOW + timedelta(seconds=1), NOW + TEN_YEARS])
def test_an_image_is_kept_until_a_time_within_ten_years(until):
    check_keep_until([OrderOptions(), OrderOptions(keep_until=until)], NOW)


@pytest.mark.parametrize("until", [NOW, NOW - timedelta(days=1), NOW + TEN_YEARS + timedelta(seconds=1)])
def test_another_end_is_refused(until):
    with pytest.raises(InvalidOption, match="keep_until must be a time in the future, which is at most ten years away"):
        check_keep_until([OrderOptions(keep_until=until)], NOW)
