"""The service as the catalogue has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keystoneauth1 import exceptions

from precache.cli.client import PrecacheClient
from precache.cli.client.endpoints import Endpoints
from precache.cli.errors import NoEndpoint
from precache.cli.openstack.transport import SessionTransport, explained, keystone_of

SERVICE_TYPE = "image-precache"
"""Ours in the catalogue; its endpoint is the address without a path of ours: `http://controller:8775`."""

IMAGE = "image"

FindEndpoint = Callable[[str], str | None]
"""Gives the address of a service by its type; None, or keystoneauth's EndpointNotFound, if there is none."""


def client_over(
    session: Any,
    find: FindEndpoint,
    *,
    timeout_s: float,
    where: str,
    hint: str,
    url: str | None = None,
    compute_url: str | None = None,
    image_url: str | None = None,
) -> PrecacheClient:
    """Give the client of the service that the catalogue names; an address that is given wins.

    where, hint: end the sentence for a catalogue without our service. A catalogue without an image service leaves the
    one that `precache serve all` brings along.
    """
    own = url or _found(session, find, SERVICE_TYPE)
    if not own:
        raise NoEndpoint(SERVICE_TYPE, where, hint)
    image = image_url or _found(session, find, IMAGE)
    endpoints = Endpoints.derive(own, compute=compute_url, image=None if image == own else image)
    return PrecacheClient(transport=SessionTransport(session=session, timeout_s=timeout_s), endpoints=endpoints)


def _found(session: Any, find: FindEndpoint, service_type: str) -> str | None:
    try:
        return find(service_type)
    except exceptions.EndpointNotFound:
        return None
    except exceptions.ClientException as error:
        raise explained(error, keystone_of(session)) from error
