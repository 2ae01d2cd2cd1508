"""How the service logs: the options of oslo.log, with the defaults of this service."""

from __future__ import annotations

from copy import copy
from typing import Any

from oslo_config import cfg

from precache.adapters.native_threads import use_native_threads

_FORMAT = "%(asctime)s.%(msecs)03d %(levelname)s %(name)s "

DEFAULTS: dict[str, Any] = {
    "logging_default_format_string": f"{_FORMAT}%(message)s",
    "logging_context_format_string": f"{_FORMAT}[%(ids)s] %(message)s",
    "logging_exception_prefix": _FORMAT,
    "logging_debug_format_suffix": "",
    "default_log_levels": [
        # Their debug output has a line for every connection and statement, and may contain request headers.
        "urllib3=WARN",
        "keystoneauth=WARN",
        "sqlalchemy=WARN",
        "alembic=WARN",
        "oslo_policy=WARN",
        "amqp=WARN",
        "oslo.messaging=INFO",
        "oslo_messaging=INFO",
        # It logs every invalid token, and notes on deprecated behaviour.
        "keystonemiddleware=ERROR",
        # It warns of a missing plugin, for which there is a separate message.
        "stevedore=ERROR",
    ],
}
"""Lines of a request or a job begin with its ids; debug lines do not name the line of code."""


def register_log_options(conf: cfg.ConfigOpts) -> None:
    """Register the options of oslo.log. Call it before `conf` reads its files."""
    use_native_threads()  # must precede the import below
    from oslo_log import log

    log.register_options(conf)
    for name, value in DEFAULTS.items():
        conf.set_default(name, value)


def log_options() -> list[cfg.Opt]:
    """Return the options of oslo.log for the sample file, without `debug`, which is in it already."""
    use_native_threads()
    from oslo_log import _options

    options = [copy(option) for _, options in _options.list_opts() for option in options if option.name != "debug"]
    for option in options:
        option.default = DEFAULTS.get(option.dest, option.default)
        option.mutable = False  # only a new start reads it
    return options
