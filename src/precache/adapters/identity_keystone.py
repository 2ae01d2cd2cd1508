"""Identifies callers by Keystone: keystonemiddleware in front of the API, with two additions.

First, the library refuses a caller at once; here its decision only sets a header, because some paths of the application
need no token. (The library's option to delay the decision reports a Keystone that is down as an invalid token.) Second,
text that cannot be a token is never sent to Keystone, so that no error of an HTTP library quotes it.

Identity headers that a client sends are removed. `precache.api.identity` reads the headers.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import webob.exc
from keystoneauth1 import exceptions as ksa
from keystoneauth1 import loading
from keystonemiddleware.auth_token import AuthProtocol
from keystonemiddleware.exceptions import ConfigurationError
from keystonemiddleware.opts import list_auth_token_opts
from oslo_config import cfg

from precache.core.errors import InvalidConfiguration

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_log = logging.getLogger("precache.identity")

GROUP = "keystone_authtoken"
TIMEOUT_S = 10
"""The default time limit of Keystone; the library has none. It retries `http_request_max_retries` times, so a silent
Keystone delays a request for about 45 s."""

LONGEST_TOKEN = 8192  # characters; a Fernet token has about 200, a signed one up to 2000

_STATUS = "X-Identity-Status"
_SERVICE_TOKEN = "X-Service-Token"  # noqa: S105  the name of a header
_TOKENS = ("X-Auth-Token", _SERVICE_TOKEN)
_SYSTEM_SCOPE = "OpenStack-System-Scope"
# Identity headers that the library trusts, or does not remove from a client's request.
_NEVER_FROM_CLIENTS = (_SYSTEM_SCOPE, "X-Storage-Token")


def keystone(app: WSGIApplication, conf: cfg.ConfigOpts) -> WSGIApplication:
    """Return `app` behind a middleware that sets the identity headers of the caller's token on every request.

    conf: the parsed configuration; [keystone_authtoken] is registered and read here. Its credentials have been checked.
    Keystone is not called before the first request.
    Raises InvalidConfiguration.
    """
    for group, options in list_auth_token_opts():
        conf.register_opts(options, group=group)
    section = conf[GROUP]
    if section.memcached_servers and importlib.util.find_spec("memcache") is None:
        raise InvalidConfiguration(
            f"[{GROUP}] memcached_servers needs the Python package python-memcached; install it, or remove the option "
            "to have each process remember tokens by itself"
        )
    overrides = {
        "oslo_config_config": conf,
        "delay_auth_decision": False,
        "http_connect_timeout": section.http_connect_timeout or TIMEOUT_S,
        "www_authenticate_uri": section.www_authenticate_uri or _auth_url(conf),
    }
    try:
        callers = _Callers(app, overrides)
    except (ConfigurationError, ksa.ClientException, OSError) as error:
        raise InvalidConfiguration(f"[{GROUP}] {' '.join(str(error).split())}") from error

    def identify(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answer: Iterable[bytes] = callers(environ, start_response)
        return answer

    return identify


def _auth_url(conf: cfg.ConfigOpts) -> str:
    """Return the URL at which the service uses Keystone: the one for clients if no other is set."""
    holder = conf[GROUP].auth_section or GROUP
    conf.register_opts(loading.get_auth_common_conf_options(), group=holder)
    conf.register_opts(loading.get_auth_plugin_conf_options(conf[holder].auth_type), group=holder)
    return str(conf[holder].auth_url)


class _Callers(AuthProtocol):  # type: ignore[misc]  # the library has no types
    """The library's middleware; it passes every request on, with its decision in a header."""

    def process_request(self, request: Any) -> None:
        unwanted: tuple[str, ...] = _NEVER_FROM_CLIENTS
        if any(not _can_be_token(request.headers[name]) for name in _TOKENS if name in request.headers):
            unwanted += _TOKENS  # both: an invalid service token invalidates the request, as in Nova
        for header in unwanted:
            request.headers.pop(header, None)
        try:
            super().process_request(request)
        except webob.exc.HTTPUnauthorized:
            request.headers[_STATUS] = "Invalid"
        except webob.exc.HTTPServiceUnavailable:  # the library has logged why
            request.headers[_STATUS] = "Unavailable"
        except ksa.MissingAuthPlugin:  # keystoneauth repeats its query of the versions with a token, and has none yet
            _log.error(
                "What answers at [%s] auth_url requires authentication for the list of its versions; correct it", GROUP
            )
            request.headers[_STATUS] = "Unavailable"
        except Exception as error:  # noqa: BLE001  whatever the library meets, the caller gets an answer
            _log.error("Keystone's answer about a token cannot be used: %s", type(error).__name__)
            _log.debug("the way there", exc_info=True)
            request.headers[_STATUS] = "Unavailable"
        if _SERVICE_TOKEN in request.headers:
            # The library has replaced the caller's scope with that of the service token.
            request.headers.pop(_SYSTEM_SCOPE, None)


def _can_be_token(text: str) -> bool:
    return 0 < len(text) <= LONGEST_TOKEN and text.isascii() and text.isprintable()
