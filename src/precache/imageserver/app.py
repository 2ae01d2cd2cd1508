"""The application: which resource handles which path, who is answered, and the format of errors."""

from __future__ import annotations

import html
import json
import logging
from typing import TYPE_CHECKING, Any

import falcon

from precache.imageserver.directory_scan import ImagesUnreadable
from precache.imageserver.discovery import IMAGE_SCHEMA, IMAGES_SCHEMA, Schema, Versions
from precache.imageserver.image_data import DataCounts, ImageData
from precache.imageserver.image_pieces import ImagePieces
from precache.imageserver.images import ImageListResource, ImageResource
from precache.imageserver.library import ImageLibrary
from precache.imageserver.request_log import RequestLog, logged

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_log = logging.getLogger(__name__)

_OPEN = frozenset({"/", "/versions"})

_REFUSALS = {
    "Unavailable": (falcon.HTTP_503, "The token cannot be checked at present: the database does not answer."),
    "Exposed": (
        falcon.HTTP_401,
        "The token came unencrypted and is not accepted; use https, and replace the token, because others may have "
        "read it.",
    ),
}
_NO_TOKEN = (falcon.HTTP_401, "The request you have made requires authentication.")


def create_image_app(
    *, library: ImageLibrary, log: RequestLog | None = None, asks_for_token: bool = False
) -> WSGIApplication:
    """Build the embedded image service: the reading part of the Glance v2 API over a library.

    Mount it under any prefix (SCRIPT_NAME). The counts at `/requests` are reset with the application.
    asks_for_token: see `Admission`. Without it every caller is served: for loopback addresses only.
    """
    counts = DataCounts()
    app = falcon.App(middleware=[Admission()] if asks_for_token else [])
    app.req_options.strip_url_path_trailing_slash = True
    app.set_error_serializer(_write_error)
    app.add_error_handler(ImagesUnreadable, _unavailable)
    app.add_route("/", Versions(status=falcon.HTTP_300))
    app.add_route("/versions", Versions(status=falcon.HTTP_200))
    app.add_route("/v2/images", ImageListResource(library=library))
    app.add_route("/v2/images/{image_id}", ImageResource(library=library))
    app.add_route("/v2/images/{image_id}/file", ImageData(library=library, counts=counts))
    app.add_route("/v2/images/{image_id}/pieces", ImagePieces(library=library))
    app.add_route("/v2/schemas/image", Schema(schema=IMAGE_SCHEMA))
    app.add_route("/v2/schemas/images", Schema(schema=IMAGES_SCHEMA))
    app.add_route("/requests", counts)
    return app if log is None else logged(app, log)


def refer_to(url: str) -> WSGIApplication:
    """Build the application for a process that uses the image service at `url`: it refuses every request (421).

    An empty list, or "not found", would be wrong for an image that the other service has.
    """

    def refuse(req: falcon.Request, resp: falcon.Response, **kwargs: Any) -> None:  # noqa: ARG001  falcon's names
        raise falcon.HTTPError(
            falcon.HTTP_421,
            description=f"This Precache uses the image service at {url}; send requests for images there, for commands "
            f"with --image-url (PRECACHE_IMAGE_URL) {url}",
        )

    app = falcon.App()
    app.set_error_serializer(_write_error)
    app.add_sink(refuse)
    return app


def _unavailable(_req: falcon.Request, _resp: falcon.Response, error: ImagesUnreadable, _params: object) -> None:
    _log.warning("%s", error)
    raise falcon.HTTPServiceUnavailable(description=str(error))


class Admission:
    """Middleware: only versions are open to callers without a valid token, as in Glance. Every role sees every image.

    It reads the header `X-Identity-Status`, which the authentication in front of the application sets.
    """

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 401 in the format of keystonemiddleware, as Glance does, unless the caller is known."""
        status = req.get_header("X-Identity-Status") or ""
        if req.path in _OPEN or status == "Confirmed":
            return
        resp.status, message = _REFUSALS.get(status, _NO_TOKEN)
        code, title = resp.status.split(" ", 1)
        resp.media = {"error": {"code": int(code), "title": title, "message": message}}
        resp.complete = True


def _write_error(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    """Serialize a Falcon error into the response."""
    status = falcon.code_to_http_status(error.status)
    code, _, title = status.partition(" ")
    text = error.description or error.title or title
    if "json" in (req.get_header("Accept") or ""):
        resp.content_type = falcon.MEDIA_JSON
        resp.text = json.dumps({"message": html.escape(text), "code": status, "title": title})
        return
    resp.content_type = "text/html; charset=UTF-8"
    resp.text = (
        f"<html>\n <head>\n  <title>{code} {title}</title>\n </head>\n"
        f" <body>\n  <h1>{code} {title}</h1>\n  {html.escape(text)}\n </body>\n</html>"
    )
