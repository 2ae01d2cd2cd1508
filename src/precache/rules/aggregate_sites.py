"""Which sites aggregates give to their hosts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from precache.core.aggregates import SITE, Aggregate
from precache.core.names import is_name


@dataclass(frozen=True, slots=True)
class AggregateSites:
    """sites: by host. ignored: metadata that is no name of a site: the aggregate and the text.
    disagreeing: by host, the aggregate whose site counts, and the first other one that names another site.
    """

    sites: Mapping[str, str]
    ignored: Mapping[str, str]
    disagreeing: Mapping[str, tuple[str, str]]


def sites_of_aggregates(aggregates: Iterable[Aggregate]) -> AggregateSites:
    """Return the sites by the metadata `precache_site`. If two aggregates disagree, the first by name counts."""
    chosen: dict[str, tuple[str, str]] = {}  # by host: the site, and the name of the aggregate
    ignored: dict[str, str] = {}
    disagreeing: dict[str, tuple[str, str]] = {}
    for aggregate in sorted(aggregates, key=lambda each: each.name):
        site = aggregate.metadata.get(SITE)
        if site is None:
            continue
        if not is_name(site):
            ignored[aggregate.name] = site
            continue
        for host in aggregate.hosts:
            first_site, first = chosen.setdefault(host, (site, aggregate.name))
            if first_site != site:
                disagreeing.setdefault(host, (first, aggregate.name))
    return AggregateSites({host: site for host, (site, _) in chosen.items()}, ignored, disagreeing)
