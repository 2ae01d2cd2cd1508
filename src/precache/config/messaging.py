"""[oslo_messaging_rabbit]: connections to all message buses. The library reads it; here it is only documented."""

from __future__ import annotations

from oslo_config import cfg

from precache.adapters.native_threads import use_native_threads

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
