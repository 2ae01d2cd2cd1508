"""Lists every option for oslo-config-generator, which writes the sample file of the documentation."""

from __future__ import annotations

from oslo_config import cfg

from precache.config.identity import authtoken_sample
from precache.config.load import GROUPS
from precache.config.logs import log_options
from precache.config.messaging import rabbit_sample


def list_opts() -> list[tuple[str | cfg.OptGroup, list[cfg.Opt]]]:
    """Return (group, options) pairs, in the order of the sample file."""
    own: list[tuple[str | cfg.OptGroup, list[cfg.Opt]]] = [
        ("DEFAULT" if group.name is None else cfg.OptGroup(group.name, help=group.help), list(group.options))
        for group in GROUPS
    ]
    return [*own, ("DEFAULT", log_options()), authtoken_sample(), rabbit_sample()]
