"""The service's own credentials, and the services that are called with them."""

from __future__ import annotations

from keystoneauth1.session import Session

from precache.adapters.images_glance import GlanceImages, open_session
from precache.config.load import Config


def service_session(config: Config) -> Session:
    """Give the session that authenticates as [service_user]; nothing is asked yet."""
    user = config.service_user
    return open_session(auth=user.auth, verify=user.verify, cert=user.cert, timeout=user.timeout)


def image_service_of(config: Config, session: Session) -> GlanceImages:
    """Connect to the image service: the configured endpoint, else the catalogue's; nothing is asked yet."""
    return GlanceImages(
        session=session,
        endpoint=config.glance.endpoint_override,
        region_name=config.service_user.region_name,
        interfaces=config.service_user.interfaces,
        connect_timeout=config.glance.connect_timeout,
        read_timeout=config.glance.read_timeout,
    )
