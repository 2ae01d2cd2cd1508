"""The global options, and the client that they describe."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import cached_property

from precache.cli.client import PrecacheClient
from precache.cli.client.endpoints import DEFAULT_URL, Endpoints
from precache.cli.client.transport import UrllibTransport
from precache.cli.errors import UsageError
from precache.core.private_transport import is_private_url

_DEFAULT_TIMEOUT_S = 30.0


def seconds(text: str) -> float:
    """Return a duration above 0, for argparse."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return number


def option_parser(version: str, environ: Mapping[str, str]) -> argparse.ArgumentParser:
    """Return the parser of the global options; arguments that it does not know belong to the command."""
    parser = argparse.ArgumentParser(
        prog="precache",
        usage="precache [options] <command> [arguments]",
        description="Fill the image caches of compute hosts before instances boot from them.",
        add_help=False,
        # `--image` is an option of a command; it must not be parsed as an abbreviation of `--image-url`.
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"precache {version}", help="show the version and exit")
    parser.add_argument(
        "-h", "--help", dest="help_wanted", action="store_true", help="show this, or the help of a command"
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument(
        "-v", "--verbose", action="count", dest="verbose_level", default=1, help="show each request on stderr"
    )
    loudness.add_argument(
        "-q", "--quiet", action="store_const", const=0, dest="verbose_level", help="print neither progress nor hints"
    )
    parser.add_argument("--log-file", metavar="FILE", help="write a log of the command")
    _add_service_options(parser, environ)
    return parser


def _add_service_options(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    service = parser.add_argument_group("service")
    service.add_argument(
        "--url",
        default=environ.get("PRECACHE_URL"),
        help=f"where the service is (PRECACHE_URL; default: as in Keystone's catalogue, without one {DEFAULT_URL})",
    )
    service.add_argument(
        "--compute-url",
        metavar="URL",
        default=environ.get("PRECACHE_COMPUTE_URL"),
        help="the Nova-compatible interface, if not under --url (PRECACHE_COMPUTE_URL)",
    )
    service.add_argument(
        "--image-url",
        metavar="URL",
        default=environ.get("PRECACHE_IMAGE_URL"),
        help="the image service, if not under --url (PRECACHE_IMAGE_URL)",
    )
    service.add_argument(
        "--token",
        help="Keystone's token (OS_TOKEN; prefer the variable, because all users can see a command line)",
    )
    service.add_argument(
        "--auth-token",
        metavar="TOKEN",
        help="token of a service without Keystone, made by 'precache token create' (PRECACHE_TOKEN, which other "
        "users cannot see); Keystone is then not used",
    )
    service.add_argument(
        "--os-cloud",
        metavar="NAME",
        default=environ.get("OS_CLOUD"),
        help="log in to this cloud of clouds.yaml (OS_CLOUD; needs openstacksdk); by default OS_AUTH_URL etc. are used",
    )
    service.add_argument(
        "--cacert",
        metavar="FILE",
        default=environ.get("OS_CACERT"),
        help="PEM file of trusted certificate authorities for https (OS_CACERT)",
    )
    service.add_argument(
        "--http-timeout",
        metavar="SECONDS",
        type=seconds,
        default=environ.get("PRECACHE_HTTP_TIMEOUT") or _DEFAULT_TIMEOUT_S,
        help=f"how long to wait for an answer (PRECACHE_HTTP_TIMEOUT; default {_DEFAULT_TIMEOUT_S:g})",
    )


class ClientManager:
    """Holds the client for the commands. The `openstack` client has an object with the same attributes."""

    def __init__(self, options: argparse.Namespace, environ: Mapping[str, str]) -> None:
        self._options = options
        self._environ = environ

    @cached_property
    def precache(self) -> PrecacheClient:
        """Return the client. It sends nothing before a command uses it, except a look-up of Keystone's catalogue."""
        if own_token := self._own_token:
            return self._with_own_token(own_token)
        if self._token and (not self._token.isascii() or not self._token.isprintable()):
            raise UsageError("The token contains invalid characters; check OS_TOKEN")
        if self._logs_in:
            return self._by_catalogue()
        return self._without_keystone(self._endpoints, self._token)

    @property
    def _own_token(self) -> str | None:
        """Return the service's own token. Any token on the command line takes precedence over the environment."""
        if self._options.token and not self._options.auth_token:
            return None
        return self._options.auth_token or self._environ.get("PRECACHE_TOKEN")

    def _with_own_token(self, token: str) -> PrecacheClient:
        """Return the client with this token. Raises UsageError if the token would cross a network unencrypted."""
        options = self._options
        if options.token:
            raise UsageError(
                "--auth-token and --token exclude each other: the service has its own tokens or Keystone's"
            )
        if not token.isascii() or not token.isprintable() or " " in token:
            raise UsageError("The token contains invalid characters; check --auth-token (PRECACHE_TOKEN)")
        endpoints = self._endpoints
        if exposed := [url for url in (endpoints.own, endpoints.compute, endpoints.image) if not is_private_url(url)]:
            raise UsageError(
                f"The token would be sent unencrypted to {exposed[0]}, so nothing was sent; use https in --url "
                "(PRECACHE_URL), --compute-url and --image-url"
            )
        return self._without_keystone(endpoints, token)

    @property
    def _endpoints(self) -> Endpoints:
        options = self._options
        return Endpoints.derive(options.url, compute=options.compute_url, image=options.image_url)

    def _without_keystone(self, endpoints: Endpoints, token: str | None) -> PrecacheClient:
        options = self._options
        transport = UrllibTransport(
            timeout_s=options.http_timeout, setting_of=endpoints.setting_of, cacert=options.cacert
        )
        return PrecacheClient(transport=transport, endpoints=endpoints, token=token)

    @property
    def _token(self) -> str | None:
        return self._options.token or self._environ.get("OS_TOKEN")

    @property
    def _logs_in(self) -> bool:
        """Return whether to log in: a Keystone is named, and address and token (or noauth) are not both given."""
        if self._options.url and (self._token or self._environ.get("OS_AUTH_TYPE") == "none"):
            return False
        return bool(self._options.os_cloud or self._environ.get("OS_AUTH_URL"))

    def _by_catalogue(self) -> PrecacheClient:
        # Imported here because these import requests, which takes longer than all the rest of a command.
        from precache.cli.openstack.catalogue import client_over
        from precache.cli.openstack.login import login_from_environment, login_to_cloud

        options = self._options
        if options.os_cloud and options.token:
            raise UsageError(
                f"The cloud {options.os_cloud!r} of clouds.yaml says by itself how to log in; leave out --token, or "
                "--os-cloud (OS_CLOUD), or give the address of the service, too, with --url"
            )
        if options.os_cloud:
            login = login_to_cloud(options.os_cloud, timeout_s=options.http_timeout, cacert=options.cacert)
        else:
            login = login_from_environment(
                self._environ, timeout_s=options.http_timeout, cacert=options.cacert, token=options.token
            )
        return client_over(
            login.session,
            login.endpoint,
            timeout_s=options.http_timeout,
            where=f"in region {login.region or '(any)'}, interface {login.interface}",
            hint="register it, or give its address with --url (PRECACHE_URL)",
            url=options.url,
            compute_url=options.compute_url,
            image_url=options.image_url,
        )
