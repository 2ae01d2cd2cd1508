"""Filters and orders of the lists of jobs and tasks, out of the query of a request."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from precache.api.refusals import InvalidRequest
from precache.core.errors import InvalidImageId
from precache.core.images import ImageId, parse_image_id
from precache.core.job_hosts import JobHostFilter
from precache.core.job_lists import JobFilter, JobSort, JobSortKey
from precache.core.jobs import JobState, Outcome, TaskFilter, TaskState
from precache.core.operations import Operation


def job_filter(query: Mapping[str, Any]) -> JobFilter:
    """Return what the query asks for. Raises InvalidRequest for what is no id or no time."""
    return JobFilter(
        states=frozenset(map(JobState, query.get("state", ()))),
        operations=frozenset(map(Operation, query.get("operation", ()))),
        image=_image_of(query),
        host=query.get("host"),
        aggregate=query.get("aggregate"),
        name=query.get("name"),
        since=_time("since", query),
        changed_since=_time("changed_since", query),
    )


def job_sort(query: Mapping[str, Any]) -> JobSort:
    """Return the order that the query asks for."""
    return JobSort(key=JobSortKey(query.get("sort_key", "created_at")), is_descending=query.get("sort_dir") != "asc")


def host_filter(query: Mapping[str, Any]) -> JobHostFilter:
    """Return which hosts of a job the query asks for."""
    state = query.get("state")
    return JobHostFilter(
        cell=query.get("cell"), site=query.get("site"), state=None if state is None else TaskState(state)
    )


def task_filter(query: Mapping[str, Any]) -> TaskFilter:
    """Return what the query asks for. Raises InvalidRequest for an image that is no id."""
    state = query.get("state")
    return TaskFilter(
        host=query.get("host"),
        cell=query.get("cell"),
        image=_image_of(query),
        state=None if state is None else TaskState(state),
        outcomes=frozenset(map(Outcome, query.get("outcome", ()))),
        has_reason=query.get("has_reason"),
    )


def image_id(parameter: str, text: str) -> ImageId:
    """Return the id. Raises InvalidRequest, which names the parameter."""
    try:
        return parse_image_id(text)
    except InvalidImageId as error:
        raise bad_query(parameter, text, error) from error


def bad_query(parameter: str, value: str | None, why: object) -> InvalidRequest:
    """Return the error for a parameter that the document allows and that is wrong nevertheless."""
    return InvalidRequest(f"Invalid input for query parameters {parameter}. Value: {value}. {why}")


def _image_of(query: Mapping[str, Any]) -> ImageId | None:
    image = query.get("image")
    return None if image is None else image_id("image", image)


def _time(parameter: str, query: Mapping[str, Any]) -> datetime | None:
    text = query.get(parameter)
    if text is None:
        return None
    try:
        # A "+" that was not encoded arrives as a space.
        time = datetime.fromisoformat(text.replace(" ", "+"))
        if time.tzinfo is not None:
            return time.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise bad_query(parameter, text, "It must be a time with its zone, such as 2026-11-22T15:00:00Z.")
