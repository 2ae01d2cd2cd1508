"""Lists every option for oslo-config-generator, which writes the sample file of the documentation."""

from __future__ import annotations

from oslo_config import cfg

from precache.adapters.native_threads import use_native_threads
from precache.config.identity import authtoken_sample
from precache.config.load import GROUPS
from precache.config.logs import log_options

_GROUP = "oslo_messaging_rabbit"


def rabbit_sample() -> tuple[cfg.OptGroup, list[cfg.Opt]]:
    """Return the section for the sample file."""
    use_native_threads()  # must precede the import below
    # Only the sample needs this import, which is large.
    from oslo_messaging.opts import list_opts

    [options] = [options for name, options in list_opts() if name == _GROUP]
    told = (
        "Connections to all message buses: the options of oslo.messaging. Options in a transport URL take precedence."
    )
    return cfg.OptGroup(_GROUP, help=told), list(options)


def list_opts() -> list[tuple[str | cfg.OptGroup, list[cfg.Opt]]]:
    """Return (group, options) pairs, in the order of the sample file."""
    own: list[tuple[str | cfg.OptGroup, list[cfg.Opt]]] = [
        ("DEFAULT" if group.name is None else cfg.OptGroup(group.name, help=group.help), list(group.options))
        for group in GROUPS
    ]
    return [*own, ("DEFAULT", log_options()), authtoken_sample(), rabbit_sample()]
