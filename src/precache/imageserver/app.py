"""The application: which resource handles which path."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import falcon

from precache.imageserver.admission import Admission
from precache.imageserver.data_counts import DataCounts
from precache.imageserver.errors import write_error
from precache.imageserver.library import ImageLibrary
from precache.imageserver.request_log import RequestLog, logged
from precache.imageserver.resources.image_data import ImageData
from precache.imageserver.resources.images import Image, Images
from precache.imageserver.resources.requests import Requests
from precache.imageserver.resources.schemas import IMAGE_SCHEMA, IMAGES_SCHEMA, Schema
from precache.imageserver.resources.versions import Versions
from precache.imageserver.survey import ImagesUnreadable

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_log = logging.getLogger(__name__)


def create_image_app(
    *, library: ImageLibrary, log: RequestLog | None = None, asks_for_token: bool = False
) -> WSGIApplication:
    """Build the embedded image service: the reading part of the Glance v2 API over a library.

    Mount it under any prefix (SCRIPT_NAME). The counts at `/requests` are reset with the application.
    asks_for_token: serve only callers whom the middleware has identified, see `admission.py`. Without it every caller
    is
        served: for loopback addresses only.
    """
    counts = DataCounts()
    app = falcon.App(middleware=[Admission()] if asks_for_token else [])
    app.req_options.strip_url_path_trailing_slash = True
    app.set_error_serializer(write_error)
    app.add_error_handler(ImagesUnreadable, _unavailable)
    app.add_route("/", Versions(status=falcon.HTTP_300))
    app.add_route("/versions", Versions(status=falcon.HTTP_200))
    app.add_route("/v2/images", Images(library=library))
    app.add_route("/v2/images/{image_id}", Image(library=library))
    app.add_route("/v2/images/{image_id}/file", ImageData(library=library, counts=counts))
    app.add_route("/v2/schemas/image", Schema(schema=IMAGE_SCHEMA))
    app.add_route("/v2/schemas/images", Schema(schema=IMAGES_SCHEMA))
    app.add_route("/requests", Requests(counts=counts))
    return app if log is None else logged(app, log)


def _unavailable(_req: falcon.Request, _resp: falcon.Response, error: ImagesUnreadable, _params: object) -> None:
    _log.warning("%s", error)
    raise falcon.HTTPServiceUnavailable(description=str(error))
