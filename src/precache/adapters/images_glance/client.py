"""The ports `ImageCatalog` and `ImageSource` on the Glance v2 API."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from keystoneauth1.session import Session
from requests import Response

from precache.adapters.http import HttpRequestFailed, ServiceClient, read_document
from precache.adapters.images_glance.answers import (
    REFUSED_LIST,
    check_data_answer,
    check_range_answer,
    error_of_failed_list,
    error_of_failure,
    error_of_status,
)
from precache.adapters.images_glance.listing import IMAGES_PER_PAGE, read_image_list
from precache.adapters.images_glance.record import image_from_record, images_from_list, images_of_name
from precache.adapters.images_glance.stream import GlanceStream
from precache.background.cancel_token import CancelToken
from precache.core.errors import (
    ImageNotAuthorized,
    ImageNotFound,
    ImageServiceUnavailable,
    InvalidImageId,
    PrecacheError,
)
from precache.core.image_list import ImageList
from precache.core.images import Image, ImageId, parse_image_id
from precache.ports.image_service import MOST_NAMESAKES

CONNECT_TIMEOUT = timedelta(seconds=10)
READ_TIMEOUT = timedelta(seconds=60)  # Glance may wait for a slow store before the first byte
RECORD_TIMEOUT = timedelta(seconds=30)  # records come from a database, and API requests wait for them

LONGEST_RECORD_BYTES = 1 << 20
"""A record has a few kB; with all properties that Glance's quota allows, about 100 kB."""

IMAGES_PER_LIST = 40
"""Images per list request. Their ids make a URL of 1.5 kB; uWSGI accepts 4 kB for all headers, token included."""

LONGEST_LIST_BYTES = 16 << 20


class GlanceImages:
    """Records and data of images. Each call sends one request, and a second one if the service token has expired.

    session: from `open_session`, or any keystoneauth session; `show` and `open` use its credentials, `show_to`
        the caller's token instead.
    endpoint: URL of the service, with or without `/v2`; by default from the catalogue of the session's credentials, by
    the first of `interfaces` that is there.
    read_timeout: the longest silence; an answer may take hours as long as data keeps arriving.
    record_timeout: the longest time for a whole record, and the longest silence before it if `read_timeout` is longer.
    images_per_page: of the list of all images.
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
        images_per_page: int = IMAGES_PER_PAGE,
    ) -> None:
        self._service = ServiceClient(
            kind="image",
            section="glance",
            session=session,
            endpoint=endpoint,
            region_name=region_name,
            interfaces=interfaces,
            connect_timeout=connect_timeout,
        )
        self._read_timeout, self._record_timeout = read_timeout, record_timeout
        self._images_per_page = images_per_page

    def show_to(self, caller_token: str | None, image: ImageId) -> Image:
        headers = dict(_RECORD)
        if caller_token is not None:
            if not _is_token(caller_token):
                raise ImageNotAuthorized(image)
            headers["X-Auth-Token"] = caller_token
        return self._show(image, headers, as_service_user=False)

    def find_listed(self, caller_token: str | None, images: Sequence[ImageId]) -> dict[ImageId, Image]:
        if len(images) < 2 or not _is_token(caller_token):
            return {}  # a list saves nothing for one image, and for a bad token `show_to` raises the right error
        headers = _RECORD if caller_token is None else {**_RECORD, "X-Auth-Token": caller_token}
        found: dict[ImageId, Image] = {}
        for start in range(0, len(images), IMAGES_PER_LIST):
            wanted = images[start : start + IMAGES_PER_LIST]
            found |= images_from_list(wanted, self._list(_ids_path(wanted), headers)[1])
        return found

    def find_named(self, caller_token: str | None, name: str) -> list[Image]:
        if not _is_token(caller_token):
            raise ImageNotAuthorized(name)
        headers = _RECORD if caller_token is None else {**_RECORD, "X-Auth-Token": caller_token}
        status, document = self._list(_name_path(name), headers)
        if status != 200:
            raise error_of_status(name, self._root(), status, by_service_user=False)
        return images_of_name(name, document)

    def list_images(self, *, stop: CancelToken | None = None) -> ImageList:
        try:
            return read_image_list(
                self._read_page, images_per_page=self._images_per_page, sees_all=self._sees_all(), stop=stop
            )
        except ValueError as exc:
            raise ImageServiceUnavailable(self._root(), f"it does not answer as Glance does: {exc}") from exc

    def show(self, image: ImageId) -> Image:
        return self._show(image, _RECORD, as_service_user=True)

    def open(self, image: ImageId, offset_bytes: int = 0, *, stop: CancelToken | None = None) -> GlanceStream:  # noqa: ARG002  (its own timeouts end the wait)
        headers = {"Range": f"bytes={offset_bytes}-"} if offset_bytes else {}

        def check(root: str, answer: Response, by_service_user: bool) -> int | None:
            return check_data_answer(image, root, answer, offset_bytes, by_service_user=by_service_user)

        answer, length = self._data(image, f"{_record_path(image)}/file", headers, check)
        return GlanceStream(image=image, response=answer, offset_bytes=offset_bytes, remaining_bytes=length)

    def open_range(
        self,
        image: ImageId,
        offset_bytes: int,
        length_bytes: int,
        *,
        stop: CancelToken | None = None,  # noqa: ARG002  (its own timeouts end the wait)
    ) -> GlanceStream:
        headers = {"Range": f"bytes={offset_bytes}-{offset_bytes + length_bytes - 1}"}

        def check(root: str, answer: Response, by_service_user: bool) -> int:
            return check_range_answer(image, root, answer, offset_bytes, length_bytes, by_service_user=by_service_user)

        answer, length = self._data(image, f"{_record_path(image)}/file", headers, check)
        return GlanceStream(
            image=image, response=answer, offset_bytes=offset_bytes, remaining_bytes=length, is_kept=True
        )

    def read_pieces(self, image: Image, most_bytes: int) -> bytes:
        path = _pieces_path(image)

        def check(root: str, answer: Response, by_service_user: bool) -> int | None:
            return check_data_answer(image.id, root, answer, 0, by_service_user=by_service_user)

        answer, length = self._data(image.id, path, {}, check)
        stream = GlanceStream(image=image.id, response=answer, offset_bytes=0, remaining_bytes=length)
        content, buffer = bytearray(), memoryview(bytearray(_PIECES_BLOCK_BYTES))
        with closing(stream):
            while len(content) <= most_bytes and (count := stream.readinto(buffer)):
                content += buffer[:count]
        return bytes(content[: most_bytes + 1])

    def _data(
        self,
        image: ImageId,
        path: str,
        headers: Mapping[str, str],
        check: Callable[[str, Response, bool], int | None],
    ) -> tuple[Response, int | None]:
        """Return an answer with data, and the length that `check` finds in it. Closes it if `check` raises."""
        by_service_user = self._service.has_credentials
        try:
            root = self._root()
            answer = self._service.get(root, path, {**_DATA, **headers}, self._read_timeout, as_service_user=True)
        except HttpRequestFailed as exc:
            raise error_of_failure(image, exc, by_service_user=by_service_user) from exc
        try:
            return answer, check(root, answer, by_service_user)
        except PrecacheError:
            answer.close()
            raise

    def _show(self, image: ImageId, headers: Mapping[str, str], *, as_service_user: bool) -> Image:
        by_service_user = as_service_user and self._service.has_credentials
        silence = min(self._read_timeout, self._record_timeout)
        try:
            root = self._root()
            with self._service.get(
                root, _record_path(image), headers, silence, as_service_user=as_service_user
            ) as answer:
                if answer.status_code != 200:
                    raise error_of_status(image, root, answer.status_code, by_service_user=by_service_user)
                record = read_document(answer, root, longest_bytes=LONGEST_RECORD_BYTES, patience=self._record_timeout)
            return image_from_record(image, record)
        except HttpRequestFailed as exc:
            raise error_of_failure(image, exc, by_service_user=by_service_user) from exc
        except (ValueError, InvalidImageId) as exc:
            raise ImageServiceUnavailable(root, f"it does not answer as Glance does: {exc}") from exc

    def _sees_all(self) -> bool:
        """Return whether the service's user may see private images of all projects, as far as its roles tell.

        Without Keystone's credentials it is a service without projects: the embedded one.
        """
        try:
            roles = self._service.roles()
        except HttpRequestFailed as exc:
            raise error_of_failed_list(exc) from exc
        return roles is None or _SEES_ALL_IMAGES in roles

    def _read_page(self, path: str) -> Any:
        status, document = self._list(path, _RECORD, as_service_user=True)
        if status in (401, 403):
            raise ImageNotAuthorized("list", REFUSED_LIST)
        if status != 200:
            raise ImageServiceUnavailable(self._root(), f"HTTP status {status}")
        return document

    def _list(self, path: str, headers: Mapping[str, str], *, as_service_user: bool = False) -> tuple[int, Any]:
        """Return the status of the answer to one list request, and its document; None unless the status is 200."""
        silence = min(self._read_timeout, self._record_timeout)
        try:
            root = self._root()
            with self._service.get(root, path, headers, silence, as_service_user=as_service_user) as answer:
                if answer.status_code != 200:
                    return answer.status_code, None
                document = read_document(answer, root, longest_bytes=LONGEST_LIST_BYTES, patience=self._record_timeout)
                return 200, document
        except HttpRequestFailed as exc:
            raise error_of_failed_list(exc) from exc

    def _root(self) -> str:
        """Return the URL of the service without a version."""
        return self._service.root().removesuffix("/v2")


_SEES_ALL_IMAGES = "admin"
"""The role to which a stock Glance shows private images of all projects."""

_PIECES_BLOCK_BYTES = 1 << 16

_NO_PLACE = "its property precache_pieces must be the id of the image that holds the digests of its pieces"

_RECORD = {"Accept": "application/json"}
# Without `identity` a proxy may compress the data, and the hash would not match.
_DATA = {"Accept": "application/octet-stream", "Accept-Encoding": "identity"}


def _record_path(image: ImageId) -> str:
    return f"/v2/images/{image}"


def _pieces_path(image: Image) -> str:
    """Return where the digests of the pieces are. Raises ImageNotFound for a place that is none.

    The property comes from the image's owner, and the request has the service's token: only these two forms count.
    """
    own = f"{_record_path(image.id)}/pieces"
    if image.pieces == own:
        return own
    try:
        return f"{_record_path(parse_image_id(image.pieces))}/file"
    except InvalidImageId:
        raise ImageNotFound(image.id, f"{_NO_PLACE}, not {image.pieces[:60]!r}") from None


def _ids_path(images: Sequence[ImageId]) -> str:
    # Without a limit Glance returns 25.
    return f"/v2/images?id=in:{','.join(images)}&limit={len(images)}"


def _name_path(name: str) -> str:
    # Without the operator Glance would read one out of a name with a colon.
    return f"/v2/images?{urlencode({'name': f'eq:{name}', 'limit': MOST_NAMESAKES})}"


def _is_token(caller_token: str | None) -> bool:
    """Return whether this can be sent as a token; the HTTP library would quote any other text in its error."""
    return caller_token is None or (caller_token.isascii() and caller_token.isprintable())
