"""Whether a conductor can find out which cached images have left the image service."""

from __future__ import annotations

from collections.abc import Iterator

from precache.config.load import Config
from precache.doctor.findings import Finding, Status, skipped, warning
from precache.doctor.image_service import check_image_service
from precache.doctor.keystone import roles_of
from precache.wiring.service_user import service_session


def check_cached_images(config: Config) -> Iterator[Finding]:
    """List one image as the service's user, and check whether that user may see all images."""
    if not config.inventory.image_status_interval:
        yield skipped("[inventory] image_status_interval is 0: the status of cached images is never asked for")
        return
    if config.service_user.auth is None and not config.glance.endpoints:
        yield warning(
            "[service_user] has no credentials: the status of cached images in the image service stays unknown",
            "set the credentials of the service's user in [service_user], or [inventory] image_status_interval = 0",
        )
        return
    findings = list(check_image_service(config))
    yield from findings
    is_listed = any(finding.status is Status.OK for finding in findings)
    if is_listed and config.service_user.auth is not None and config.glance.auth_token is None:
        yield from _check_role(config)


def _check_role(config: Config) -> Iterator[Finding]:
    if "admin" not in roles_of(service_session(config)):
        yield warning(
            "the user in [service_user] does not have the role admin, so that Glance does not show it private images "
            "of other projects: a cached image that was deleted is shown as unknown, not as gone",
            "give it the role admin in its project",
        )
