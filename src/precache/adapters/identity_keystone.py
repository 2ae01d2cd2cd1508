"""Who calls, by Keystone: keystonemiddleware in front of the API, with the two things that it cannot do added.

The library decides at once, and its decision is caught here: the application answers a caller without a valid token
itself, for some of its paths are open to everybody. (The library's own way to delay the decision takes a Keystone
that is away for a bad token, and the caller would be told to get a new one.) And whatever cannot be a token is never
sent to Keystone, so that it comes up in no error of an HTTP library either.

What a client sends under the names of the identity headers is removed. `precache.api.identity` reads them.
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
"""How long Keystone may take unless the operator says otherwise; the library would wait for ever. It asks up to
`http_request_max_retries` times more, so a Keystone that says nothing holds a request for some 45 s."""

LONGEST_TOKEN = 8192  # characters; a Fernet token has some 200, a signed one up to 2000

_STATUS = "X-Identity-Status"
_SERVICE_TOKEN = "X-Service-Token"  # noqa: S105  the name of a header
_TOKENS = ("X-Auth-Token", _SERVICE_TOKEN)
_SYSTEM_SCOPE = "OpenStack-System-Scope"
# Identity headers that the library believes, or forgets to remove from what a client sends.
_NEVER_FROM_CLIENTS = (_SYSTEM_SCOPE, "X-Storage-Token")


def keystone(app: WSGIApplication, conf: cfg.ConfigOpts) -> WSGIApplication:
    """Put the identity headers of the caller's token on every request on its way to `app`.

    conf: parsed; the section [keystone_authtoken] is registered and read here. Its credentials have been checked.
    Nothing is asked of Keystone before the first request.
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
    """Return the URL at which we use Keystone ourselves, for clients if no other is set."""
    holder = conf[GROUP].auth_section or GROUP
    conf.register_opts(loading.get_auth_common_conf_options(), group=holder)
    conf.register_opts(loading.get_auth_plugin_conf_options(conf[holder].auth_type), group=holder)
    return str(conf[holder].auth_url)


class _Callers(AuthProtocol):  # type: ignore[misc]  # the library has no types
    """The library's middleware, which passes every request on and only says in a header what it thinks of it."""

    def process_request(self, request: Any) -> None:
        unwanted: tuple[str, ...] = _NEVER_FROM_CLIENTS
        if any(not _can_be_token(request.headers[name]) for name in _TOKENS if name in request.headers):
            unwanted += _TOKENS  # also the good one: a bad service token spoils the request, as in Nova
        for header in unwanted:
            request.headers.pop(header, None)
        try:
            super().process_request(request)
        except webob.exc.HTTPUnauthorized:
            request.headers[_STATUS] = "Invalid"
        except webob.exc.HTTPServiceUnavailable:  # the library has logged why
            request.headers[_STATUS] = "Unavailable"
        except ksa.MissingAuthPlugin:  # keystoneauth repeats its question for versions with a token, and has none yet
            _log.error(
                "What answers at [%s] auth_url requires authentication for the list of its versions; correct it", GROUP
            )
            request.headers[_STATUS] = "Unavailable"
        except Exception as error:  # noqa: BLE001  whatever the library meets, the caller gets an answer
            _log.error("Keystone's answer about a token cannot be used: %s", type(error).__name__)
            _log.debug("the way there", exc_info=True)
            request.headers[_STATUS] = "Unavailable"
        if _SERVICE_TOKEN in request.headers:
            # The library has put the scope of the service's token in the place of the caller's.
            request.headers.pop(_SYSTEM_SCOPE, None)


def _can_be_token(text: str) -> bool:
    return 0 < len(text) <= LONGEST_TOKEN and text.isascii() and text.isprintable()
