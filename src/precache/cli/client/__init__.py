"""The client of the service: one object for each noun of the API, over one session. Does not use the terminal."""

from __future__ import annotations

from precache.cli.client.aggregates import Aggregates
from precache.cli.client.cached_images import CachedImages
from precache.cli.client.endpoints import Endpoints
from precache.cli.client.hosts import Hosts
from precache.cli.client.images import Images
from precache.cli.client.jobs import Jobs
from precache.cli.client.session import JsonObject, Session
from precache.cli.client.transport import Transport

__all__ = ["JsonObject", "PrecacheClient"]


class PrecacheClient:
    """The client of the whole service. In each program commands find it as `app.client_manager.precache`."""

    def __init__(self, *, transport: Transport, endpoints: Endpoints, token: str | None = None) -> None:
        session = Session(transport=transport, token=token)
        self.aggregates = Aggregates(session, endpoints.compute)
        self.jobs = Jobs(session, endpoints.own)
        self.hosts = Hosts(session, endpoints.own)
        self.cached_images = CachedImages(session, endpoints.own)
        self.images = Images(session, endpoints.image)
