"""[oslo_messaging_rabbit]: how every message bus is spoken to. The library reads it by itself; here it is told of."""

from __future__ import annotations

from oslo_config import cfg

from precache.adapters.native_threads import use_native_threads

_GROUP = "oslo_messaging_rabbit"


def rabbit_sample() -> tuple[cfg.OptGroup, list[cfg.Opt]]:
    """Return the section for the sample file."""
    use_native_threads()  # the import below decides it
    # Only the sample needs it here, and it is a large library.
    from oslo_messaging.opts import list_opts

    [options] = [options for name, options in list_opts() if name == _GROUP]
    told = "How every message bus is spoken to: the options of oslo.messaging. What a transport URL says of them wins."
    return cfg.OptGroup(_GROUP, help=told), list(options)
