"""Keystone: whether it answers, and accepts the configured credentials."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keystoneauth1 import exceptions as ksa
from keystoneauth1.session import Session
from keystonemiddleware.opts import list_auth_token_opts

from precache.adapters.http import open_session, why_unreachable
from precache.config.identity import AUTHTOKEN, SERVICE_USER, load_credentials
from precache.config.load import Config
from precache.doctor.findings import Finding, failed, ok, skipped, warning
from precache.wiring.service_user import service_session

VALIDATING_ROLES = frozenset({"admin", "service"})
"""The roles that Keystone's policy allows to check others' tokens."""


def check_service_user(config: Config) -> Iterator[Finding]:
    """Get a token as [service_user]."""
    if config.service_user.auth is None and config.glance.auth_token is not None:
        yield skipped("[glance] auth_token is used for the image service; there is no Keystone")
        return
    if config.service_user.auth is None:
        yield warning(
            "[service_user] has no credentials: only services without authentication can be used",
            "set the credentials of the service's user in [service_user]",
        )
        return
    yield _log_in(service_session(config), SERVICE_USER)


def check_authtoken(config: Config) -> Iterator[Finding]:
    """Get a token as [keystone_authtoken], and check whether its roles allow it to check callers' tokens."""
    if config.api.auth_strategy == "noauth":
        yield skipped("[api] auth_strategy is noauth: callers are not identified")
        return
    auth = load_credentials(config.oslo, AUTHTOKEN)
    if auth is None:
        yield failed(f"[{AUTHTOKEN}] has no credentials", "set them, because callers cannot be identified without")
        return
    session = open_session(auth=auth, verify=_verify(config))
    finding = _log_in(session, AUTHTOKEN)
    yield finding
    roles = roles_of(session) if finding.status == "ok" else VALIDATING_ROLES
    if not VALIDATING_ROLES & set(roles):
        yield warning(
            f"the user in [{AUTHTOKEN}] is neither admin nor service, and Keystone allows only these to check tokens",
            "give it the role service in its project",
        )


def why_no_token(session: Session, section: str) -> Finding | None:
    """Return why Keystone does not issue a token for the user in this section; None if it does."""
    try:
        session.get_auth_headers()  # by the session, which detects a captive portal
    except (ksa.Unauthorized, ksa.Forbidden):
        return failed(
            f"Keystone refuses the user or the password in [{section}]", "correct them, and the domains and the project"
        )
    except ksa.ConnectionError as error:
        return failed(
            f"Keystone cannot be reached: {why_unreachable(error, section)}",
            f"start it, or correct [{section}] auth_url",
        )
    except ksa.ClientException as error:
        return failed(
            f"no Keystone was found at [{section}] auth_url: {why_unreachable(error, section)}",
            "start it, or correct auth_url, which usually ends in /v3",
        )
    return None


def _log_in(session: Session, section: str) -> Finding:
    if trouble := why_no_token(session, section):
        return trouble
    roles = roles_of(session)
    return ok(f"Keystone accepts the user in [{section}]; its roles: {', '.join(sorted(roles)) or 'none'}")


def roles_of(session: Session) -> list[str]:
    """Return the roles of the session's token."""
    auth: Any = session.auth
    return list(auth.get_access(session).role_names) if hasattr(auth, "get_access") else []


def _verify(config: Config) -> bool | Path:
    for group, options in list_auth_token_opts():
        config.oslo.register_opts(options, group=group)
    section = config.oslo[AUTHTOKEN]
    return Path(section.cafile) if section.cafile else not section.insecure
