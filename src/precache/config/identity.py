"""[service_user] and [keystone_authtoken]: credentials for calls of other services, and for checking callers' tokens.

Both sections take the options of keystoneauth. The section's `auth_type` decides which ones exist, so they are
registered after the files have been read. No message contains a value of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from keystoneauth1 import exceptions as ksa
from keystoneauth1 import loading
from oslo_config import cfg

from precache.config.options import OptionGroup, read_value
from precache.core.errors import InvalidConfiguration

SERVICE_USER = "service_user"
AUTHTOKEN = "keystone_authtoken"

_PASSWORD = ("password", "v3password")


def _listed(plugin: str) -> list[cfg.Opt]:
    """Return a plugin's options, none of them required: `_check_complete` checks that when the plugin is known."""
    options = loading.get_auth_plugin_conf_options(plugin)
    for option in options:
        option.required = False
    return list(options)


OPTIONS = [
    *loading.get_auth_common_conf_options(),
    cfg.StrOpt("region_name", help="Region whose endpoints are used. Default: any."),
    cfg.ListOpt(
        "valid_interfaces",
        default=["internal", "public"],
        help="Interfaces of the catalogue's endpoints, the preferred one first.",
    ),
    cfg.StrOpt(
        "cafile",
        help="PEM file of the certificate authorities (CAs) that are trusted to sign the services' certificates.",
    ),
    cfg.StrOpt("certfile", help="PEM file of the client certificate, for services that require one."),
    cfg.StrOpt("keyfile", help="PEM file of the key of the client certificate."),
    cfg.BoolOpt("insecure", default=False, help="Do not check the services' certificates. For tests only."),
    cfg.FloatOpt("timeout", default=30, min=1, help="Seconds to wait for an answer of Keystone."),
    *_listed("password"),
]


@dataclass(frozen=True, slots=True)
class ServiceUserSettings:
    """How to call other services.

    auth: a keystoneauth plugin; None if no `auth_type` is set, for services without authentication.
    verify: True for the system's CAs, False for no check, or a file of CAs.
    cert: the client certificate: one file, or a file and that of its key.
    timeout: for Keystone; calls of the other services have their own.
    """

    auth: Any = field(repr=False)
    region_name: str | None
    interfaces: tuple[str, ...]
    verify: bool | Path
    cert: str | tuple[str, str] | None
    timeout: timedelta


class _ServiceUser(OptionGroup[ServiceUserSettings]):
    """The section: some of its options are known only after it has been read."""

    def read(self, conf: cfg.ConfigOpts) -> ServiceUserSettings:
        return replace(self.parse(conf[SERVICE_USER]), auth=load_credentials(conf, SERVICE_USER))


def _parse(values: Any) -> ServiceUserSettings:
    """Return the settings without the credentials."""
    if values.insecure and values.cafile:
        raise InvalidConfiguration(f"[{SERVICE_USER}] insecure and cafile contradict each other; remove one")
    if values.keyfile and not values.certfile:
        raise InvalidConfiguration(f"[{SERVICE_USER}] keyfile needs a certfile; set it too")
    for option in ("cafile", "certfile", "keyfile"):
        _check_file(SERVICE_USER, option, values[option])
    return ServiceUserSettings(
        auth=None,
        region_name=values.region_name,
        interfaces=tuple(values.valid_interfaces),
        verify=Path(values.cafile) if values.cafile else not values.insecure,
        cert=(values.certfile, values.keyfile) if values.keyfile else values.certfile,
        timeout=timedelta(seconds=values.timeout),
    )


GROUP = _ServiceUser(SERVICE_USER, "The service's own credentials, for Glance and Nova.", OPTIONS, _parse)


def load_credentials(conf: cfg.ConfigOpts, section: str) -> Any:
    """Return the keystoneauth plugin of a section, None if it sets no `auth_type`.

    Raises InvalidConfiguration, with the option and what to do, for credentials that cannot work.
    """
    conf.register_opts(loading.get_auth_common_conf_options(), group=section)
    holder = conf[section].auth_section or section  # a section may use the credentials of another one
    conf.register_opts(loading.get_auth_common_conf_options(), group=holder)
    name = conf[holder].auth_type
    if not name:
        _check_unused(conf, holder)
        return None
    try:
        loader: Any = loading.get_plugin_loader(name)
    except ksa.NoMatchingPlugin as error:
        raise InvalidConfiguration(
            f"[{holder}] auth_type: there is no authentication plugin called {name!r}; set it to password"
        ) from error
    values = _plugin_values(conf, holder, name)
    _check_complete(holder, name, values)
    for option in loader.get_options():
        if option.required:
            _require(holder, values, [option.dest], f"what auth_type = {name} needs")
    try:
        return loader.load_from_options_getter(lambda option: values[option.dest])
    except ksa.ClientException as error:  # about a combination of options; it names options, not values
        raise InvalidConfiguration(f"[{holder}] {' '.join(str(error).split())}") from error


def _check_unused(conf: cfg.ConfigOpts, section: str) -> None:
    values = _plugin_values(conf, section, "password")
    if given := [option for option in ("auth_url", "username", "user_id", "password") if values[option]]:
        raise InvalidConfiguration(
            f"[{section}] auth_type is missing; set it to password, for which {given[0]} is there"
        )


def _plugin_values(conf: cfg.ConfigOpts, section: str, plugin: str) -> dict[str, Any]:
    """Return the values of a plugin's options, also of those that are registered already under the same name."""
    values = {}
    for option in loading.get_auth_plugin_conf_options(plugin):
        with suppress(cfg.DuplicateOptError):  # the same option, with another plugin's help
            conf.register_opt(option, group=section)
        values[option.dest] = read_value(conf, section, option)
    return values


def _check_complete(section: str, plugin: str, values: dict[str, Any]) -> None:
    """Check what the library would notice only at its first request for a token, or never."""
    if "auth_url" in values:
        _require(section, values, ["auth_url"], "the URL of Keystone, such as https://keystone.example/v3")
    if "auth_url" in values and not _is_http(values["auth_url"]):
        raise InvalidConfiguration(f"[{section}] auth_url is not an http or https URL; set it to that of Keystone")
    if plugin not in _PASSWORD:
        return
    _require(section, values, ["username", "user_id"], "the service's user in Keystone")
    _require(section, values, ["password"], "the password of that user")
    defaults = ("default_domain_name", "default_domain_id")
    if values["username"] and not values["user_id"]:
        _require(section, values, ["user_domain_name", "user_domain_id", *defaults], "the user's domain")
    scopes = ["project_name", "project_id", "system_scope", "domain_name", "domain_id", "trust_id"]
    _require(section, values, scopes, "the project in which the service has its roles")
    if values["project_name"] and not values["project_id"]:
        _require(section, values, ["project_domain_name", "project_domain_id", *defaults], "the project's domain")


def _require(section: str, values: dict[str, Any], failover: Sequence[str], meaning: str) -> None:
    if not any(values.get(option) for option in failover):
        raise InvalidConfiguration(f"[{section}] {failover[0]} is missing; set it to {meaning}")


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _check_file(section: str, option: str, path: str | None) -> None:
    if path and not Path(path).is_file():
        raise InvalidConfiguration(f"[{section}] {option}: {path} is not a file; give an existing PEM file")


def require_authtoken(conf: cfg.ConfigOpts) -> None:
    """Check [keystone_authtoken], for the API. Raises InvalidConfiguration."""
    for option in _authtoken_options():
        conf.register_opt(option, group=AUTHTOKEN)
        read_value(conf, AUTHTOKEN, option)
    for name in ("cafile", "certfile", "keyfile"):
        _check_file(AUTHTOKEN, name, conf[AUTHTOKEN][name])
    if load_credentials(conf, AUTHTOKEN) is None:
        raise InvalidConfiguration(
            f"[{AUTHTOKEN}] auth_type is missing; set credentials for checking callers' tokens, such as "
            f"auth_section = {SERVICE_USER}"
        )


def authtoken_sample() -> tuple[cfg.OptGroup, list[cfg.Opt]]:
    """Return [keystone_authtoken] for the sample file: the middleware's options, and those of its credentials."""
    group = cfg.OptGroup(AUTHTOKEN, help="How callers' tokens are checked. Used if [api] auth_strategy is keystone.")
    return group, [*_authtoken_options(), *_listed("password")]


def _authtoken_options() -> list[cfg.Opt]:
    # Only the API needs this library, which is large.
    from keystonemiddleware.opts import list_auth_token_opts

    [(_, options)] = list_auth_token_opts()
    return list(options)
