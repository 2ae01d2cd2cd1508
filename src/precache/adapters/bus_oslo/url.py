"""Transport URLs: reads, checks and shows them without their secrets."""

from __future__ import annotations

import importlib
from typing import Any
from urllib.parse import urlsplit

import oslo_messaging
import oslo_messaging.opts
from oslo_config import cfg

from precache.core.errors import InvalidConfiguration

RABBIT = "oslo_messaging_rabbit"
_MODEL = "rabbit://USER:PASSWORD@HOST:PORT/VIRTUAL-HOST"
_RECONNECT_WITHIN_S = 5
_DEFAULT_PORT = 5672

# oslo.messaging registers these on its global configuration only, and reads them from the one that it is given.
_FORGOTTEN = (
    ("oslo_messaging._metrics.client", "oslo_messaging_metrics"),
    ("oslo_messaging._tracing.client", "oslo_messaging_tracing"),
)


def register_options(conf: cfg.ConfigOpts) -> None:
    """Register on `conf` all options that oslo.messaging reads; harmless to repeat."""
    for group, options in oslo_messaging.opts.list_opts():
        conf.register_opts(options, group=group)
    for module, group in _FORGOTTEN:
        try:
            options = getattr(importlib.import_module(module), group)
        except (ModuleNotFoundError, AttributeError):
            continue  # a release without it
        conf.register_opts(options, group=group)


def bus_place(conf: cfg.ConfigOpts, transport_url: str) -> str:
    """Return the address of the bus, such as `rabbit1:5672/cell1`. Raises InvalidConfiguration, without any secret."""
    return redacted(parse_url(conf, transport_url))


def bus_hosts(conf: cfg.ConfigOpts, transport_url: str) -> list[tuple[str, int]]:
    """Return the brokers of the bus with their ports. Raises InvalidConfiguration, without any secret."""
    return [(host.hostname, host.port or _DEFAULT_PORT) for host in parse_url(conf, transport_url).hosts]


def parse_url(conf: cfg.ConfigOpts, transport_url: str) -> Any:
    """Parse and check a URL. Raises InvalidConfiguration, which quotes nothing that may be a secret."""
    register_options(conf)
    try:
        if "@" in "".join(urlsplit(transport_url)[2:]):
            raise _refusal("characters such as @ ? # in a user name or password must be written as %40 %3F %23")
        if not _are_hosts_alike(urlsplit(transport_url).netloc):
            raise _refusal("every host has a password or none, and a comma in one must be written as %2C")
        url = oslo_messaging.TransportURL.parse(conf, transport_url)
    except (ValueError, oslo_messaging.MessagingException):
        raise _refusal("it cannot be read") from None  # their messages quote it
    if url.transport != "rabbit":
        raise _refusal("only RabbitMQ is supported, so it begins with rabbit://")
    if not url.hosts or not all(host.hostname for host in url.hosts):
        raise _refusal("it names no host")
    if any("/" in f"{host.username}{host.password}" for host in url.hosts):
        # The library decodes %2F, and the next library cuts the URL at the slash.
        raise _refusal("a / in a user name or password is not possible with oslo.messaging, even as %2F; choose others")
    if not all(host.port is None or 0 < host.port < 65536 for host in url.hosts):
        raise _refusal("a port is a number from 1 to 65535")
    _check_query(url)
    return url


def _are_hosts_alike(netloc: str) -> bool:
    """Return whether all hosts have a password, or none has.

    Otherwise a password was cut at a comma, and its rest would be read as a host, whose name is logged.
    """
    return len({":" in part.rpartition("@")[0] for part in netloc.split(",")}) == 1


def redacted(url: Any) -> str:
    hosts = ",".join(f"{_bracketed(host.hostname)}:{host.port or _DEFAULT_PORT}" for host in url.hosts)
    return f"{hosts}/{url.virtual_host or ''}"


def with_protocol_defaults(conf: cfg.ConfigOpts, url: Any) -> Any:
    """Set the options in the URL that the protocol requires, and better defaults for those that are not set."""
    # A queue is deleted with its last listener: so requests to a dead host are deleted, and no heartbeats accumulate
    # while no conductor runs. All peers must use the same setting, so it is not configurable. adr/0006
    url.query["amqp_auto_delete"] = "true"
    if _is_default(conf, "rabbit_interval_max"):
        url.query.setdefault("rabbit_interval_max", str(_RECONNECT_WITHIN_S))
    return url


def _is_default(conf: cfg.ConfigOpts, option: str) -> bool:
    found = conf.get_location(option, RABBIT)
    return found is not None and found.location is cfg.Locations.opt_default


def _check_query(url: Any) -> None:
    known = {option.dest: option for option in dict(oslo_messaging.opts.list_opts())[RABBIT]}
    for name, value in url.query.items():
        if name not in known:
            raise _refusal(f"{name[:64]!r} is no option of [{RABBIT}]")
        try:
            known[name].type(value)
        except ValueError:
            raise _refusal(f"the value of the option {name} cannot be read") from None


def _bracketed(hostname: str) -> str:
    return f"[{hostname}]" if ":" in hostname else hostname


def _refusal(reason: str) -> InvalidConfiguration:
    return InvalidConfiguration(f"the transport URL is not like {_MODEL}: {reason}")
