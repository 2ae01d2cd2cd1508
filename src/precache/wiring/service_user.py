"""The service user's credentials, and clients of the services that are called with them."""

from __future__ import annotations

import logging
import random
from datetime import timedelta
from functools import partial
from threading import Thread

from keystoneauth1.session import Session

from precache.adapters.http import Credentials, CredentialsRefused, TokenUnavailable, open_session, token_plugin
from precache.adapters.images_glance import RECORD_TIMEOUT, GlanceImages
from precache.adapters.images_wrapped import Failover
from precache.background.threads import start_thread
from precache.config.load import Config

_log = logging.getLogger(__name__)


def service_session(config: Config) -> Session:
    """Return the session that authenticates as [service_user]; sends no request yet."""
    user = config.service_user
    return open_session(auth=user.auth, verify=user.verify, cert=user.cert, timeout=user.timeout)


def image_session(config: Config, session: Session) -> Session:
    """Return the session for the image service: with [glance] auth_token if that is set, else `session`."""
    if config.glance.auth_token is None:
        return session
    user = config.service_user
    auth = token_plugin(config.glance.auth_token)
    return open_session(auth=auth, verify=user.verify, cert=user.cert, timeout=user.timeout)


def warn_if_refused(session: Session) -> Thread:
    """Request the first token from Keystone in the background, and log one warning if Keystone refuses.

    Otherwise only failed tasks would show it, perhaps weeks later. There is no warning if Keystone is down, because it
    may be up when it is needed. Return the thread, which need not be joined.
    """
    return start_thread(partial(_warn_if_refused, session), name="first-token")


def _warn_if_refused(session: Session) -> None:
    try:
        Credentials(session).headers()
    except CredentialsRefused as error:
        _log.warning("%s; until then every task that needs them fails", error.reason)
    except TokenUnavailable as error:
        _log.debug("No token at the start: %s", error.reason)


def image_service_of(
    config: Config, session: Session, *, default: str | None = None, record_timeout: timedelta = RECORD_TIMEOUT
) -> Failover:
    """Return a client of the image service at the configured endpoints, else at `default`, else at the catalogue's.

    record_timeout: how long one endpoint may take for an image's record, including the connection.
    Sends no request yet. Each process prefers another of several endpoints, which spreads the load.
    """
    endpoints = config.glance.endpoints or (default,)
    session = image_session(config, session)
    return Failover(
        [
            GlanceImages(
                session=session,
                endpoint=endpoint,
                region_name=config.service_user.region_name,
                interfaces=config.service_user.interfaces,
                connect_timeout=min(config.glance.connect_timeout, record_timeout),
                read_timeout=config.glance.read_timeout,
                record_timeout=record_timeout,
            )
            for endpoint in random.sample(endpoints, len(endpoints))
        ]
    )


def image_service_of_conductor(config: Config, session: Session) -> Failover | None:
    """Return a client of the image service; None if neither credentials nor endpoints are configured."""
    if config.service_user.auth is None and not config.glance.endpoints:
        return None
    return image_service_of(config, session)
