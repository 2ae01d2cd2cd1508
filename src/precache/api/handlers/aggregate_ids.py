"""The id of an aggregate in a path."""

from __future__ import annotations

import re

from precache.api.calls import Call
from precache.api.refusals import IdNotInteger
from precache.core.errors import AggregateNotFound

_LARGEST = 2**31 - 1  # the largest number that the column can have

_NUMBER = re.compile(r" *-?[0-9]+ *")  # stricter than Python's int(): no 1_0, +1 or digits of other scripts


def parse_aggregate_id(call: Call) -> int:
    """Return the id as a number; blanks around it and a minus pass, as in Nova.

    Raises IdNotInteger, or AggregateNotFound for a number that no aggregate can have.
    """
    text = call.params["aggregate_id"]
    if _NUMBER.fullmatch(text) is None:
        raise IdNotInteger
    try:
        aggregate_id = int(text)
    except ValueError as error:  # thousands of digits, which Python refuses to read
        raise IdNotInteger from error
    if abs(aggregate_id) > _LARGEST:
        raise AggregateNotFound(aggregate_id)
    return aggregate_id
