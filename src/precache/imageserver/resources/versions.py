"""`GET /` and `GET /versions`: which versions of the API there are."""

from __future__ import annotations

from typing import Any

import falcon

# What of Glance's API is served: the reading calls up to the multihash and hidden images of v2.7.
_MINOR_VERSIONS = (7, 6, 5, 4, 3, 2, 1, 0)


class Versions:
    """Answers with the list; status 300 at the root, as Glance does, 200 at `/versions`."""

    def __init__(self, *, status: str) -> None:
        self._status = status

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.status = self._status
        resp.media = {"versions": [_version(minor, f"{req.prefix}/v2/") for minor in _MINOR_VERSIONS]}

    on_head = on_get


def _version(minor: int, href: str) -> dict[str, Any]:
    status = "CURRENT" if minor == _MINOR_VERSIONS[0] else "SUPPORTED"
    return {"id": f"v2.{minor}", "status": status, "links": [{"rel": "self", "href": href}]}
