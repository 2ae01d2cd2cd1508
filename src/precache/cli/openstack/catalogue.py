"""The service as the catalogue has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keystoneauth1 import exceptions

from precache.cli.client import PrecacheClient
from precache.cli.client.endpoints import Endpoints, is_address
from precache.cli.errors import LoginWithoutProject, NoEndpoint, UsageError
from precache.cli.openstack.transport import SessionTransport, explained_by_keystone, keystone_of

SERVICE_TYPE = "image-precache"
"""Ours in the catalogue; its endpoint is the address without a path of ours: `http://controller:8775`."""

IMAGE = "image"

FindEndpoint = Callable[[str], str | None]
"""Returns the address of a service by its type; None, or keystoneauth's EndpointNotFound, if there is none."""


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
    """Return the client of the service that the catalogue names; an address that is given wins.

    where, hint: end the sentence for a catalogue without our service. A catalogue without an image service leaves the
    one that `precache serve all` brings along.
    Raises UsageError for an address of Keystone that is none, LoginWithoutProject, NoEndpoint.
    """
    _check_keystone(session)
    own = url or _found(session, find, SERVICE_TYPE)
    if not own:
        raise NoEndpoint(SERVICE_TYPE, where, hint)
    image = image_url or _found(session, find, IMAGE, needed=False)
    endpoints = Endpoints.derive(own, compute=compute_url, image=None if image == own else image)
    return PrecacheClient(transport=SessionTransport(session=session, timeout_s=timeout_s), endpoints=endpoints)


def _check_keystone(session: Any) -> None:
    # keystoneauth would look such an address up in the very catalogue that it has no way to.
    address = keystone_of(session)
    if address and not is_address(address):
        raise UsageError(
            f"{address!r} is not the address of a Keystone; correct OS_AUTH_URL (auth_url in clouds.yaml), which is "
            "one such as http://controller:5000/v3"
        )


def _found(session: Any, find: FindEndpoint, service_type: str, *, needed: bool = True) -> str | None:
    try:
        return find(service_type)
    except exceptions.EmptyCatalog as error:
        if needed and not session.get_project_id():
            raise LoginWithoutProject from error
        return None
    except exceptions.EndpointNotFound:
        return None
    except exceptions.ClientException as error:
        raise explained_by_keystone(error, session) from error
