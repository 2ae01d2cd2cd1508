"""Stores the sites that aggregates give to their hosts, where all that need the site of a host find it."""

from __future__ import annotations

import logging

from precache.conductor.held_duty import HeldDuty
from precache.core.aggregates import SITE
from precache.core.names import NAME_RULE
from precache.core.text import number_of
from precache.ports.inventory import AggregateQueries, HostSites
from precache.rules.aggregate_sites import AggregateSites, sites_of_aggregates

_log = logging.getLogger(__name__)


class NoteSites:
    """One pass, to be repeated every few seconds. For one thread. One conductor does it for all."""

    def __init__(self, *, duty: HeldDuty, aggregates: AggregateQueries, sites: HostSites) -> None:
        self._duty, self._aggregates, self._sites = duty, aggregates, sites
        self._warned_of: set[tuple[str, str]] = set()

    def __call__(self) -> None:
        """Raises InventoryUnavailable, StoreUnavailable; then the stored sites stay as they are."""
        if not self._duty.is_held():
            return
        found = sites_of_aggregates(self._aggregates.list_aggregates())
        self._sites.store_sites(found.sites)
        self._warn(found)

    def _warn(self, found: AggregateSites) -> None:
        """Warn once of each invalid name, and of each two aggregates that disagree."""
        for aggregate, text in found.ignored.items():
            if self._is_new(aggregate, text):
                _log.warning(
                    "The metadata %s = %r of aggregate %s is ignored: use %s", SITE, text, aggregate, NAME_RULE
                )
        pairs: dict[tuple[str, str], list[str]] = {}
        for host, pair in found.disagreeing.items():
            pairs.setdefault(pair, []).append(host)
        for (first, other), hosts in pairs.items():
            if self._is_new(first, other):
                _log.warning(
                    "Aggregates %s and %s name different sites (%s) for %s, such as %s. That of %s counts, the first "
                    "by name; correct the other one, or set [DEFAULT] site on these hosts",
                    first, other, SITE, number_of(len(hosts), "host"), hosts[0], first,
                )  # fmt: skip
        self._warned_of &= {*found.ignored.items(), *pairs}

    def _is_new(self, *subject: str) -> bool:
        is_new = subject not in self._warned_of
        self._warned_of.add((subject[0], subject[1]))
        return is_new
