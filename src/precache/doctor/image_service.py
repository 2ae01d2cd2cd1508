"""Glance: whether it is found, and lists images to the service's user."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from keystoneauth1 import exceptions as ksa
from keystoneauth1.session import Session

from precache.adapters.http import why_unreachable
from precache.config.identity import SERVICE_USER
from precache.config.load import Config
from precache.doctor.findings import Finding, failed, ok
from precache.doctor.keystone import why_no_token
from precache.wiring.service_user import image_session, service_session

_CORRECT = "start it, or correct [glance] endpoint_override, or the image service in the catalogue"


def check_image_service(config: Config) -> Iterator[Finding]:
    """List one image at each endpoint."""
    for endpoint in config.glance.endpoints or (None,):
        yield from _check_endpoint(config, endpoint)


def _check_endpoint(config: Config, endpoint: str | None) -> Iterator[Finding]:
    session = image_session(config, service_session(config))
    if trouble := why_no_token(session, SERVICE_USER):
        yield replace(trouble, found=f"Glance was not checked: {trouble.found}")
    elif url := endpoint or _in_catalogue(config, session):
        yield _ask(session, url.rstrip("/").removesuffix("/v2"))
    else:
        yield failed("the catalogue has no image service", "add one, or set [glance] endpoint_override")


def _in_catalogue(config: Config, session: Session) -> str | None:
    user = config.service_user
    try:
        return session.get_endpoint(service_type="image", region_name=user.region_name, interface=list(user.interfaces))
    except ksa.CatalogException:
        return None


def _ask(session: Session, base: str) -> Finding:
    try:
        answer = session.get(f"{base}/v2/images?limit=1", raise_exc=False, redirect=False, log=False, connect_retries=0)
    except ksa.ClientException as error:
        return failed(f"Glance at {base} cannot be reached: {why_unreachable(error)}", _CORRECT)
    return _meaning(base, answer.status_code, _is_list(answer))


def _meaning(base: str, status: int, is_list: bool) -> Finding:
    if status == 200 and is_list:
        return ok(f"Glance at {base} lists images")
    if status in (401, 403):
        return failed(
            f"Glance at {base} refuses to list images: HTTP status {status}",
            "correct [glance] auth_token if that is set; otherwise give the user in [service_user] a role that "
            "Glance's policy get_images requires, such as reader",
        )
    return failed(f"there is no Glance at {base}: HTTP status {status}", _CORRECT)


def _is_list(answer: object) -> bool:
    try:
        return isinstance(answer.json()["images"], list)  # type: ignore[attr-defined]
    except (ValueError, KeyError, TypeError):
        return False
