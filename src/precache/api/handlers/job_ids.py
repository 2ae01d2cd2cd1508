"""The ids of jobs in paths and queries."""

from __future__ import annotations

from precache.core.errors import InvalidImageId, JobNotFound
from precache.core.images import parse_image_id


def parse_job_id(text: str) -> str:
    """Return the id in its usual spelling. Raises JobNotFound for text that cannot be one: no store is asked for it."""
    try:
        return parse_image_id(text)
    except InvalidImageId as error:
        raise JobNotFound(text) from error
