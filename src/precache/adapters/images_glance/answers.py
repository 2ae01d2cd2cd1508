"""Translates an answer of the image service, or its absence, into an error or the extent of its data."""

from __future__ import annotations

import re

import requests

from precache.adapters.http import CredentialsRefused, HttpRequestFailed, TokenUnavailable
from precache.core.errors import (
    ImageNotAuthorized,
    ImageNotFound,
    ImageServiceUnavailable,
    NoImageData,
    PrecacheError,
    ServiceTokenUnavailable,
    TransferInterrupted,
)
from precache.core.images import ImageId

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)", re.ASCII)


_OURS = {
    401: "the image service refuses the service token; correct [glance] auth_token if that is set, else check that "
    "Glance uses the same Keystone as Precache",
    403: "the user in [service_user] may not read it; give it a role that Glance's policies get_image and "
    "download_image ask for",
    404: "it was deleted, or the user in [service_user] may not see it; private images of other projects take the "
    "role admin, or a policy of Glance's that says otherwise",
}
"""The meaning of a status if the request had the service user's credentials."""

REFUSED_LIST = (
    "the image service refuses it; set or correct [glance] auth_token, or give the user in [service_user] a role that "
    "Glance's policy get_images asks for"
)


def error_of_failure(image: ImageId, failure: HttpRequestFailed, *, by_service_user: bool) -> PrecacheError:
    """Return the error for a missing answer. by_service_user: see error_of_status."""
    if by_service_user and isinstance(failure, CredentialsRefused):
        return ImageNotAuthorized(image, failure.reason)
    return error_of_failed_list(failure)


def error_of_failed_list(failure: HttpRequestFailed) -> PrecacheError:
    """Return the error for a missing answer to a request with the caller's credentials."""
    if isinstance(failure, TokenUnavailable):
        return ServiceTokenUnavailable(failure.endpoint, failure.reason)
    return ImageServiceUnavailable(failure.endpoint, failure.reason)


def error_of_status(image: str, endpoint: str, status: int, *, by_service_user: bool) -> PrecacheError:
    """Return the error for a status other than success. Redirects count as errors: the token must not follow them.

    image: its id or its name.
    by_service_user: the request had the service user's credentials, which an operator can correct.
    """
    reason = _OURS.get(status) if by_service_user else None
    if status in (404, 410):
        return ImageNotFound(image, reason)
    if status in (401, 403):
        return ImageNotAuthorized(image, reason)
    if 300 <= status < 400:
        return ImageServiceUnavailable(endpoint, f"HTTP status {status} (a redirect); correct the endpoint")
    return ImageServiceUnavailable(endpoint, f"HTTP status {status}")


def check_data_answer(
    image: ImageId, endpoint: str, answer: requests.Response, offset_bytes: int, *, by_service_user: bool
) -> int | None:
    """Return the number of bytes that the answer announces; None if it announces none.

    Raises the errors of `ImageSource.open` if the answer is not the data from the offset to the end.
    """
    status = answer.status_code
    if status == 204:
        raise NoImageData(image)
    if offset_bytes and status in (200, 416):
        raise TransferInterrupted(image, offset_bytes, None, f"the service does not resume: HTTP status {status}")
    if status != (206 if offset_bytes else 200):
        raise error_of_status(image, endpoint, status, by_service_user=by_service_user)
    encoding = answer.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":
        raise ImageServiceUnavailable(endpoint, f"it sends the data as {encoding[:40]!r}, which was not requested")
    length = _content_length(answer)
    if offset_bytes:
        return _resumed_length(image, answer, offset_bytes, length)
    if length == 0:
        raise NoImageData(image)
    return length


def check_range_answer(
    image: ImageId,
    endpoint: str,
    answer: requests.Response,
    offset_bytes: int,
    length_bytes: int,
    *,
    by_service_user: bool,
) -> int:
    """Return the number of bytes that were requested. Raises the errors of `ImageSource.open_range` for other data."""
    if answer.status_code in (200, 416):
        raise TransferInterrupted(
            image, offset_bytes, None, f"the service does not send ranges: HTTP status {answer.status_code}"
        )
    if answer.status_code == 204:
        raise NoImageData(image)
    if answer.status_code != 206:
        raise error_of_status(image, endpoint, answer.status_code, by_service_user=by_service_user)
    text = answer.headers.get("Content-Range", "")
    match = _CONTENT_RANGE.fullmatch(text.strip())
    expected = offset_bytes, offset_bytes + length_bytes - 1
    is_as_stored = answer.headers.get("Content-Encoding", "identity").lower() == "identity"
    is_whole = _content_length(answer) in (None, length_bytes)
    if match is None or (int(match[1]), int(match[2])) != expected or not is_as_stored or not is_whole:
        reason = f"the service sends {text[:60]!r} and not bytes {expected[0]} to {expected[1]}"
        raise TransferInterrupted(image, offset_bytes, None, reason)
    return length_bytes


def _content_length(answer: requests.Response) -> int | None:
    text = answer.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() and not is_chunked(answer) else None


def is_chunked(answer: requests.Response) -> bool:
    """Return whether the body is chunked, so that its last chunk marks the end."""
    return "chunked" in answer.headers.get("Transfer-Encoding", "").lower()


def _resumed_length(image: ImageId, answer: requests.Response, offset_bytes: int, length: int | None) -> int:
    """Return the length of the part that was sent; the part must extend from the offset to the end."""
    text = answer.headers.get("Content-Range", "")
    match = _CONTENT_RANGE.fullmatch(text.strip())
    if match is None:
        raise TransferInterrupted(image, offset_bytes, None, f"the service resumes with Content-Range {text[:60]!r}")
    first, last, size = int(match[1]), int(match[2]), match[3]
    is_to_the_end = size == "*" or last + 1 == int(size)
    if first != offset_bytes or not is_to_the_end or length not in (None, last - first + 1):
        raise TransferInterrupted(
            image, offset_bytes, None, f"the service resumes with {text[:60]!r} and not at {offset_bytes}"
        )
    return last - first + 1
