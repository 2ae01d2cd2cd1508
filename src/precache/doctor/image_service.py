"""Glance: found, and willing to list an image to the service's own user."""

from __future__ import annotations

from collections.abc import Iterator

from keystoneauth1 import exceptions as ksa

from precache.adapters.http import innermost
from precache.config.load import Config
from precache.doctor.findings import Finding, failed, ok
from precache.wiring.service_user import service_session

_CORRECT = "start it, or correct [glance] endpoint_override, or the image service in the catalogue"


def look_at_image_service(config: Config) -> Iterator[Finding]:
    """Ask for one image at each endpoint."""
    for endpoint in config.glance.endpoints or (None,):
        yield from _look_at(config, endpoint)


def _look_at(config: Config, endpoint: str | None) -> Iterator[Finding]:
    session, user = service_session(config), config.service_user
    try:
        url = endpoint or session.get_endpoint(
            service_type="image", region_name=user.region_name, interface=list(user.interfaces)
        )
        if not url:
            yield failed("the catalogue has no image service", "add one, or set [glance] endpoint_override")
            return
        base = str(url).rstrip("/").removesuffix("/v2")
        answer = session.get(f"{base}/v2/images?limit=1", raise_exc=False, redirect=False, log=False, connect_retries=0)
    except ksa.Unauthorized:
        yield failed("Keystone refuses the credentials in [service_user], so Glance was not asked", "correct them")
    except ksa.ClientException as error:
        yield failed(f"Glance cannot be reached: {innermost(error)}", _CORRECT)
    else:
        yield _meaning(base, answer.status_code, _is_list(answer))


def _meaning(base: str, status: int, is_list: bool) -> Finding:
    if status == 200 and is_list:
        return ok(f"Glance at {base} lists images to us")
    if status in (401, 403):
        return failed(
            f"Glance at {base} lets the user in [service_user] list no images: HTTP status {status}",
            "give the user a role that Glance's policy get_images asks for, such as reader",
        )
    return failed(f"there is no Glance at {base}: HTTP status {status}", _CORRECT)


def _is_list(answer: object) -> bool:
    try:
        return isinstance(answer.json()["images"], list)  # type: ignore[attr-defined]
    except (ValueError, KeyError, TypeError):
        return False
