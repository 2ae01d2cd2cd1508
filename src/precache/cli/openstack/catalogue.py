"""Finds the service in Keystone's catalogue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keystoneauth1 import exceptions

from precache.cli.client import PrecacheClient
from precache.cli.client.endpoints import Endpoints, is_address
from precache.cli.errors import LoginWithoutProject, NoEndpoint, UsageError
from precache.cli.openstack.transport import SessionTransport, explained_by_keystone, keystone_of

SERVICE_TYPE = "image-precache"
"""Precache's type in the catalogue; its endpoint is the URL without a path, such as `http://controller:8775`."""

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
    """Return the client of the service in the catalogue; an address that is given takes precedence.

    where, hint: the end of the error for a catalogue without Precache. If the catalogue has no image service, the one
    of `precache serve all` is used.
    Raises UsageError for an invalid address of Keystone, LoginWithoutProject, NoEndpoint.
    """
    _check_keystone(session)
    own = url or _found(session, find, SERVICE_TYPE)
    if not own:
        raise NoEndpoint(SERVICE_TYPE, where, hint)
    image = image_url or _found(session, find, IMAGE, needed=False)
    endpoints = Endpoints.derive(own, compute=compute_url, image=None if image == own else image)
    return PrecacheClient(transport=SessionTransport(session=session, timeout_s=timeout_s), endpoints=endpoints)


def _check_keystone(session: Any) -> None:
    # keystoneauth would look such an address up in the catalogue, which it cannot reach.
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
