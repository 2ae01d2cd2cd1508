"""Which host of a job is called next, so that a slow cell or site does not delay the others."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from precache.core.hosts import Host

Sites = dict[str, OrderedDict[str, Host]]
"""The waiting hosts of a cell, by site and name. The site that was taken from the longest ago is the first."""


class FanOut:
    """The hosts that are still to be called, and how many of each cell and site are called. For one thread at a time.

    by_cell: the hosts to call; within a site they are taken in this order.
    most_per_site: the most hosts of one site that are called at a time; None for no limit.
    beside: other hosts of the same job; their calls count for the limit of a site, too.
    """

    def __init__(
        self,
        by_cell: Mapping[str, Iterable[Host]],
        *,
        most_per_site: int | None = None,
        beside: FanOut | None = None,
    ) -> None:
        self.most_per_site = most_per_site
        self._all_in_site: Counter[str] = Counter() if beside is None else beside._all_in_site
        self._waiting: dict[str, Sites] = {}
        self._waiting_count = 0
        self._in_cell: Counter[str] = Counter()
        self._in_site: Counter[str] = Counter()
        self._in_place: Counter[tuple[str, str]] = Counter()
        self.add(by_cell)

    def __len__(self) -> int:
        """Return the number of hosts that have not been taken."""
        return self._waiting_count

    def add(self, by_cell: Mapping[str, Iterable[Host]]) -> None:
        """Add hosts to call, after those that wait."""
        for cell, hosts in by_cell.items():
            sites = self._waiting.setdefault(cell, {})
            for host in hosts:
                of_site = sites.setdefault(host.site, OrderedDict())
                self._waiting_count += host.name not in of_site
                of_site[host.name] = host

    def take(self) -> tuple[str, Host] | None:
        """Return the next cell and host to call; None if all are taken, or the sites of the others have their most.

        It is of the cell with the fewest running calls, and there of the site with the fewest. Among equals it is the
        one that was taken from the longest ago, at first in the order of the request. So while others wait, hosts that
        never end use only the share of their own cell.
        """
        for cell in sorted(self._waiting, key=self._in_cell.__getitem__):
            sites = self._waiting[cell]
            site = min(filter(self._has_room, sites), key=self._in_site.__getitem__, default=None)
            if site is not None:
                return cell, self._take_from(cell, site, next(iter(sites[site])))
        return None

    def take_host(self, cell: str, site: str, name: str) -> tuple[str, Host] | None:
        """Return the cell and this host as `take` does; None if it does not wait, or its site has its most."""
        if name not in self._waiting.get(cell, {}).get(site, {}) or not self._has_room(site):
            return None
        return cell, self._take_from(cell, site, name)

    def waits(self, cell: str, site: str, name: str) -> bool:
        """Return whether the host has been added and not been taken."""
        return name in self._waiting.get(cell, {}).get(site, {})

    def first_of_each_site(self, count: int) -> Iterator[tuple[str, Host]]:
        """Return up to `count` waiting hosts of each site, each with its cell, in their order."""
        for cell, sites in self._waiting.items():
            for hosts in sites.values():
                yield from ((cell, host) for host in islice(hosts.values(), count))

    def most_at_once(self, later: Iterable[Host]) -> int:
        """Return how many hosts can be called at once, with those that are called now.

        later: hosts that will be added.
        """
        every = Counter(host.site for host in later) + self._in_site
        for sites in self._waiting.values():
            every.update({site: len(hosts) for site, hosts in sites.items()})
        most = self.most_per_site
        if most is None:
            return every.total()
        return sum(max(min(most, count), self._in_site[site]) for site, count in every.items())

    def places(self) -> set[tuple[str, str]]:
        """Return the cells and sites with hosts that wait, or are being called."""
        waiting = {(cell, site) for cell, sites in self._waiting.items() for site in sites}
        return waiting | {place for place, count in self._in_place.items() if count}

    def put_back(self, cell: str, host: Host) -> None:
        """Undo `take`: the host is the next one of its site again."""
        self.ended(cell, host)
        of_site = self._waiting.setdefault(cell, {}).setdefault(host.site, OrderedDict())
        of_site[host.name] = host
        of_site.move_to_end(host.name, last=False)
        self._waiting_count += 1

    def ended(self, cell: str, host: Host) -> None:
        """Record that the call to the host has ended."""
        self._in_cell[cell] -= 1
        self._in_site[host.site] -= 1
        self._all_in_site[host.site] -= 1
        self._in_place[cell, host.site] -= 1

    def _has_room(self, site: str) -> bool:
        return self.most_per_site is None or self._all_in_site[site] < self.most_per_site

    def _take_from(self, cell: str, site: str, name: str) -> Host:
        self._in_cell[cell] += 1
        self._in_site[site] += 1
        self._all_in_site[site] += 1
        self._in_place[cell, site] += 1
        # At the end, so that they are last among equals; what has no more hosts is removed.
        sites = self._waiting.pop(cell)
        hosts = sites.pop(site)
        host = hosts.pop(name)
        self._waiting_count -= 1
        if hosts:
            sites[site] = hosts
        if sites:
            self._waiting[cell] = sites
        return host
