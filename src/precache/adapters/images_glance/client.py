"""The ports `ImageCatalog` and `ImageSource` by the Glance v2 API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import requests
from keystoneauth1 import exceptions as ksa
from keystoneauth1.session import Session

from precache.adapters.http import is_hang_up, why_unreachable
from precache.adapters.images_glance.answers import check_data_answer, error_of_status
from precache.adapters.images_glance.credentials import Credentials
from precache.adapters.images_glance.document import read_document
from precache.adapters.images_glance.record import image_from_record
from precache.adapters.images_glance.stream import GlanceStream
from precache.core.errors import ImageNotAuthorized, ImageServiceUnavailable, InvalidImageId, PrecacheError
from precache.core.images import Image, ImageId
from precache.ports.image_service import IsWanted, for_ever

CONNECT_TIMEOUT = timedelta(seconds=10)
READ_TIMEOUT = timedelta(seconds=60)  # Glance may wait for a slow store before the first byte
RECORD_TIMEOUT = timedelta(seconds=30)  # records come from a database: somebody waits for them at the API


class GlanceImages:
    """Records and bytes of images; each call is one request, and a second one where the service's token is void.

    session: from `open_session`, or any keystoneauth session; `show` and `open` use its credentials, `show_to`
        the caller's token instead.
    endpoint: URL of the service, with or without `/v2`; by default the catalogue of the session's credentials
        says, at the first of `interfaces` that it has.
    read_timeout: the longest silence; an answer that takes hours is fine as long as bytes keep coming.
    record_timeout: the longest time for a whole record, and silence before it, if that is shorter.
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
        record_timeout: timedelta = RECORD_TIMEOUT,
    ) -> None:
        self._session, self._endpoint = session, endpoint
        self._credentials = Credentials(session)
        self._region_name, self._interfaces = region_name, tuple(interfaces)
        self._connect_s, self._read_s = connect_timeout.total_seconds(), read_timeout.total_seconds()
        self._record_s = record_timeout.total_seconds()

    def show_to(self, caller_token: str | None, image: ImageId) -> Image:
        headers = {}
        if caller_token is not None:
            # Anything else cannot be a token, and would be repeated in the HTTP library's own error.
            if not (caller_token.isascii() and caller_token.isprintable()):
                raise ImageNotAuthorized(image)
            headers["X-Auth-Token"] = caller_token
        base = self._base()
        answer = self._get(base, _record_path(image), headers | _RECORD, self._silence_s)
        return self._read_record(image, base, answer, is_ours=False)

    def show(self, image: ImageId) -> Image:
        base = self._base()
        answer = self._get_as_service(image, base, _record_path(image), _RECORD, self._silence_s)
        return self._read_record(image, base, answer, is_ours=not self._credentials.are_none)

    def open(self, image: ImageId, offset_bytes: int = 0, *, is_wanted: IsWanted = for_ever) -> GlanceStream:  # noqa: ARG002  (its own timeouts end the wait)
        base = self._base()
        headers = _DATA | ({"Range": f"bytes={offset_bytes}-"} if offset_bytes else {})
        answer = self._get_as_service(image, base, f"{_record_path(image)}/file", headers, self._read_s)
        try:
            length = check_data_answer(image, base, answer, offset_bytes, is_ours=not self._credentials.are_none)
        except PrecacheError:
            answer.close()
            raise
        return GlanceStream(image=image, response=answer, offset_bytes=offset_bytes, remaining_bytes=length)

    @property
    def _silence_s(self) -> float:
        return min(self._read_s, self._record_s)

    def _read_record(self, image: ImageId, base: str, answer: requests.Response, *, is_ours: bool) -> Image:
        with answer:
            if answer.status_code != 200:
                raise error_of_status(image, base, answer.status_code, is_ours=is_ours)
            document = read_document(answer, base, self._record_s)
        try:
            return image_from_record(image, document)
        except (ValueError, InvalidImageId) as exc:
            raise ImageServiceUnavailable(base, f"it does not answer as Glance does: {exc}") from exc

    def _get_as_service(
        self, image: ImageId, base: str, path: str, headers: Mapping[str, str], silence_s: float
    ) -> requests.Response:
        """Send a GET with the service's own token, and with a new one if Glance does not accept it any more."""
        ours = self._credentials.headers(image)
        answer = self._get(base, path, {**headers, **ours}, silence_s)
        if answer.status_code != 401 or (renewed := self._credentials.renew(ours, image)) is None:
            return answer
        answer.close()
        return self._get(base, path, {**headers, **renewed}, silence_s)

    def _get(self, base: str, path: str, headers: Mapping[str, str], silence_s: float) -> requests.Response:
        """Send one GET; a second one at once if the first met a kept connection that the server had given up.

        Servers drop idle connections when they like (uWSGI without a word), and no client can know beforehand.
        """
        request = {"headers": dict(headers), "timeout": (self._connect_s, silence_s)}
        try:
            return self._send(f"{base}{path}", **request)
        except ksa.ConnectFailure as exc:
            if not is_hang_up(exc):
                raise ImageServiceUnavailable(base, why_unreachable(exc)) from exc
        except ksa.ClientException as exc:
            raise ImageServiceUnavailable(base, why_unreachable(exc)) from exc
        try:
            return self._send(f"{base}{path}", **request)
        except ksa.ClientException as exc:
            raise ImageServiceUnavailable(base, why_unreachable(exc)) from exc

    def _send(self, url: str, **request: Any) -> requests.Response:
        # authenticated=False: the token is among the headers already, for its failures are not Glance's.
        # log=False: keystoneauth would put what it reads into its debug log.
        return self._session.get(
            url,
            authenticated=False,
            stream=True,
            raise_exc=False,
            redirect=False,
            log=False,
            connect_retries=0,
            **request,
        )

    def _base(self) -> str:
        """Give the root of the service, without version and trailing slash."""
        url = self._endpoint or self._credentials.endpoint(self._region_name, self._interfaces)
        return url.rstrip("/").removesuffix("/v2")


_RECORD = {"Accept": "application/json"}
# Without `identity` a proxy may compress, and the bytes would no longer be those that were hashed.
_DATA = {"Accept": "application/octet-stream", "Accept-Encoding": "identity"}


def _record_path(image: ImageId) -> str:
    return f"/v2/images/{image}"
