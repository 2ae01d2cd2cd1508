"""The ports `ImageCatalog` and `ImageSource` by the Glance v2 API."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import requests
from keystoneauth1 import exceptions as ksa
from keystoneauth1.session import Session

from precache.adapters.http import innermost, is_hang_up
from precache.adapters.images_glance.answers import check_data_answer, error_of_status
from precache.adapters.images_glance.record import image_from_record
from precache.adapters.images_glance.stream import GlanceStream
from precache.core.errors import ImageNotAuthorized, ImageServiceUnavailable, InvalidImageId, PrecacheError
from precache.core.images import Image, ImageId

CONNECT_TIMEOUT = timedelta(seconds=10)
READ_TIMEOUT = timedelta(seconds=60)  # Glance may wait for a slow store before the first byte


class GlanceImages:
    """Records and bytes of images; each call is one request.

    session: from `open_session`, or any keystoneauth session; `show` and `open` use its credentials, `show_to`
        the caller's token instead.
    endpoint: URL of the service, with or without `/v2`; by default the catalog of the session's credentials
        says, at the first of `interfaces` that it has.
    read_timeout: the longest silence; an answer that takes hours is fine as long as bytes keep coming.
    """

    def __init__(
        self,
        *,
        session: Session,
        endpoint: str | None = None,
        region_name: str | None = None,
        interfaces: Sequence[str] = ("internal", "public"),
        connect_timeout: timedelta = CONNECT_TIMEOUT,
        read_timeout: timedelta = READ_TIMEOUT,
    ) -> None:
        self._session, self._endpoint = session, endpoint
        self._region_name, self._interfaces = region_name, list(interfaces)
        self._timeout = (connect_timeout.total_seconds(), read_timeout.total_seconds())

    def show_to(self, caller_token: str | None, image: ImageId) -> Image:
        headers = {}
        if caller_token is not None:
            # Anything else cannot be a token, and would be repeated in the HTTP library's own error.
            if not (caller_token.isascii() and caller_token.isprintable()):
                raise ImageNotAuthorized(image)
            headers["X-Auth-Token"] = caller_token
        return self._show(image, headers=headers, authenticated=False)

    def show(self, image: ImageId) -> Image:
        return self._show(image, headers={})

    def open(self, image: ImageId, offset_bytes: int = 0) -> GlanceStream:
        # Without `identity` a proxy may compress, and the bytes would no longer be those that were hashed.
        headers = {"Accept": "application/octet-stream", "Accept-Encoding": "identity"}
        if offset_bytes:
            headers["Range"] = f"bytes={offset_bytes}-"
        base = self._base(image)
        answer = self._get(image, f"{base}/v2/images/{image}/file", headers=headers, stream=True)
        try:
            length = check_data_answer(image, base, answer, offset_bytes)
        except PrecacheError:
            answer.close()
            raise
        return GlanceStream(image=image, response=answer, offset_bytes=offset_bytes, remaining_bytes=length)

    def _show(self, image: ImageId, **request: Any) -> Image:
        base = self._base(image)
        request["headers"]["Accept"] = "application/json"
        answer = self._get(image, f"{base}/v2/images/{image}", **request)
        if answer.status_code != 200:
            raise error_of_status(image, base, answer.status_code)
        try:
            return image_from_record(image, answer.json())
        except (ValueError, InvalidImageId) as exc:
            raise ImageServiceUnavailable(base, f"it does not answer as Glance does: {exc}") from exc

    def _get(self, image: ImageId, url: str, **request: Any) -> requests.Response:
        """Send one GET; a second one at once if the first met a kept connection that the server had given up.

        Servers drop idle connections when they like (uWSGI without a word), and no client can know beforehand.
        """
        endpoint = url.partition("/v2/images/")[0]
        try:
            return self._send(url, **request)
        except ksa.ConnectFailure as exc:
            if not is_hang_up(exc):
                raise _translated(image, endpoint, exc) from exc
        except ksa.ClientException as exc:
            raise _translated(image, endpoint, exc) from exc
        try:
            return self._send(url, **request)
        except ksa.ClientException as exc:
            raise _translated(image, endpoint, exc) from exc

    def _send(self, url: str, **request: Any) -> requests.Response:
        # log=False: keystoneauth would put what it reads into its debug log.
        return self._session.get(
            url, timeout=self._timeout, raise_exc=False, redirect=False, log=False, connect_retries=0, **request
        )

    def _base(self, image: ImageId) -> str:
        """Give the root of the service, without version and trailing slash."""
        url = self._endpoint
        try:
            url = url or self._session.get_endpoint(
                service_type="image", region_name=self._region_name, interface=self._interfaces
            )
        except ksa.ClientException as exc:
            raise _translated(image, "(from the catalog)", exc) from exc
        if not url:
            raise ImageServiceUnavailable("(from the catalog)", "the catalog has no image service; set its endpoint")
        return str(url).rstrip("/").removesuffix("/v2")


def _translated(image: ImageId, endpoint: str, error: ksa.ClientException) -> PrecacheError:
    """Give our error for keystoneauth's. Only messages that are known to hold no header are passed on."""
    if isinstance(error, ksa.Unauthorized | ksa.Forbidden):
        return ImageNotAuthorized(image)
    if isinstance(error, ksa.ConnectTimeout):
        return ImageServiceUnavailable(endpoint, "it does not answer in time")
    if isinstance(error, ksa.SSLError | ksa.ConnectFailure):
        return ImageServiceUnavailable(endpoint, innermost(error))
    return ImageServiceUnavailable(endpoint, type(getattr(error, "original", error)).__name__)
