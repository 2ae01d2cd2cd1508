"""`GET /requests`: how often data of each image were requested. Glance has no such resource."""

from __future__ import annotations

import falcon

from precache.imageserver.data_counts import DataCounts


class Requests:
    """The counts since the service started: `{"data_requests": {id: number}, "data_bytes": {id: number}}`."""

    def __init__(self, *, counts: DataCounts) -> None:
        self._counts = counts

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        resp.media = self._counts.as_json()

    on_head = on_get
