"""The id of an aggregate in a path."""

from __future__ import annotations

from precache.api.calls import Call
from precache.api.refusals import IdNotInteger
from precache.core.errors import AggregateNotFound

_LARGEST = 2**31 - 1  # what the column of any database takes; beyond it there is nothing to look for


def parse_aggregate_id(call: Call) -> int:
    """Give the id as a number; blanks around it and a sign pass, as in Nova.

    Raises IdNotInteger, or AggregateNotFound for a number that no aggregate can have.
    """
    try:
        aggregate_id = int(call.params["aggregate_id"])
    except ValueError as error:
        raise IdNotInteger from error
    if abs(aggregate_id) > _LARGEST:
        raise AggregateNotFound(aggregate_id)
    return aggregate_id
