"""The login of `precache` to Keystone: the session that the OS_ variables or a cloud of clouds.yaml describe."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from keystoneauth1 import exceptions, loading

from precache.adapters.http import SeparateLoginSession
from precache.cli.errors import UsageError


@dataclass(frozen=True, slots=True)
class Login:
    """A session, and the arguments for looking up the catalogue.

    override: returns by the type of a service the address that replaces the catalogue's, if any.
    """

    session: Any
    region: str | None
    interface: str
    override: Callable[[str], str | None]

    def endpoint(self, service_type: str) -> str | None:
        """Return the address of a service; None if the catalogue has none."""
        told = self.override(service_type)
        if told:
            return told
        found = self.session.get_endpoint(
            service_type=service_type, region_name=self.region, interface=self.interface, skip_discovery=True
        )
        return None if found is None else str(found)


def login_from_environment(
    environ: Mapping[str, str], *, timeout_s: float, cacert: str | None, token: str | None = None
) -> Login:
    """Return the login that OS_AUTH_URL and the other OS_ variables describe; sends nothing yet.

    OS_AUTH_TYPE is any type that keystoneauth knows; by default the variables that are set decide: a token, an
    application credential, else a password. token: a token from the command line, which takes precedence. Raises
    UsageError for an unknown type, or if one of its values is missing.
    """
    if token:
        environ = {**environ, "OS_TOKEN": token, "OS_AUTH_TYPE": _token_type(environ.get("OS_AUTH_TYPE"))}
    auth_type = environ.get("OS_AUTH_TYPE") or _likely_type(environ)
    _check_password(environ, auth_type)
    _silence_library_log()
    try:
        loader: Any = loading.get_plugin_loader(auth_type)
        plugin = loader.load_from_options_getter(lambda option: _value(environ, option))
    except exceptions.NoMatchingPlugin as error:
        raise UsageError(f"OS_AUTH_TYPE is {auth_type!r}, which keystoneauth does not know") from error
    except exceptions.MissingRequiredOptions as error:
        names = ", ".join(_variable(option.name) for option in error.options)
        raise UsageError(f"For the authentication type {auth_type!r} these are not set: {names}") from error
    except exceptions.ClientException as error:
        raise UsageError(f"The OS_ variables cannot be used to log in: {error}") from error
    return Login(
        session=SeparateLoginSession(auth=plugin, verify=cacert or True, timeout=timeout_s),
        region=environ.get("OS_REGION_NAME") or None,
        interface=(environ.get("OS_INTERFACE") or environ.get("OS_ENDPOINT_TYPE") or "public").removesuffix("URL"),
        override=lambda kind: environ.get(_variable(f"{kind}-endpoint-override")),
    )


def login_to_cloud(name: str, *, timeout_s: float, cacert: str | None) -> Login:
    """Return the login to a cloud of clouds.yaml. cacert: takes precedence over the one that is named there.

    Raises UsageError if there is no such cloud, or openstacksdk is not installed.
    """
    try:
        from openstack import config
        from openstack import exceptions as sdk_exceptions
    except ImportError as error:
        raise UsageError(
            f"The cloud {name!r} of clouds.yaml is read by openstacksdk, which is not installed: "
            "pip install openstacksdk, or set OS_AUTH_URL and its companions"
        ) from error
    _silence_library_log()
    try:
        region = config.OpenStackConfig().get_one(cloud=name, cacert=cacert)
        session = region.get_session()
    except (sdk_exceptions.SDKException, exceptions.ClientException, OSError) as error:
        raise UsageError(f"The cloud {name!r} of clouds.yaml cannot be used: {error}") from error
    session.timeout = timeout_s
    return Login(
        session=session,
        region=region.region_name,
        interface=region.get_interface() or "public",
        override=lambda kind: region.config.get(f"{kind.replace('-', '_')}_endpoint_override"),
    )


def _silence_library_log() -> None:
    """Keep the library's log off stderr, where it goes without a handler: the errors say the same."""
    logging.getLogger("keystoneauth").addHandler(logging.NullHandler())


def _check_password(environ: Mapping[str, str], auth_type: str) -> None:
    """Raise UsageError if the login uses a password, but there is no user or no password."""
    if not auth_type.endswith("password"):
        return
    # The generic type chooses its version only when it is used, and then raises a bare Exception.
    missing = [
        names[0]
        for names in (("OS_USERNAME", "OS_USER_ID", "OS_USER_NAME"), ("OS_PASSWORD",))
        if not any(environ.get(name) for name in names)
    ]
    if missing:
        raise UsageError(
            f"OS_AUTH_URL names a Keystone, but {' and '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not set; set what is missing (source the openrc file), or "
            "OS_TOKEN, or OS_CLOUD; unset OS_AUTH_URL for a service without a Keystone"
        )


def _token_type(wanted: str | None) -> str:
    """Return `wanted` if this type logs in with a token, else the usual type that does."""
    return wanted if wanted and wanted.endswith("token") else "token"


def _likely_type(environ: Mapping[str, str]) -> str:
    if environ.get("OS_TOKEN"):
        return "token"
    if environ.get("OS_APPLICATION_CREDENTIAL_SECRET"):
        return "v3applicationcredential"
    return "password"


def _value(environ: Mapping[str, str], option: Any) -> str | None:
    """Return an option's value under its name or a former name."""
    names = [_variable(one.name) for one in (option, *option.deprecated)]
    return next((environ[name] for name in names if environ.get(name)), None)


def _variable(name: str) -> str:
    return f"OS_{name.replace('-', '_').upper()}"
