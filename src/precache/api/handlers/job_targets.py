"""Finds the hosts of the target of a request for a job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from precache.api.refusals import EmptyTarget, UnknownAggregates, UnknownCells, UnknownHosts
from precache.core.aggregates import Aggregate
from precache.core.names import is_name
from precache.core.targets import Target
from precache.ports.inventory import AggregateQueries, HostQueries


class JobTargets:
    """Converts the target of a request to the fields of a job for its hosts."""

    def __init__(self, *, aggregates: AggregateQueries, hosts: HostQueries) -> None:
        self._aggregates = aggregates
        self._hosts = hosts

    def fields(self, document: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """Return the fields of a `NewJob`; its hosts are those of the aggregates, then the cells, then the others.

        Raises UnknownAggregates, UnknownCells, UnknownHosts with all names that do not exist; EmptyTarget.
        """
        asked = Target.read(document)
        aggregates = self._find_aggregates(asked.aggregates)
        in_cells = self._hosts_in(asked.cells)
        self._check_hosts((*asked.hosts, *asked.exclude_hosts))

        named = dict.fromkeys([*(host for each in aggregates for host in each.hosts), *in_cells, *asked.hosts])
        excluded = frozenset(asked.exclude_hosts)
        hosts = tuple(host for host in named if host not in excluded)
        if not hosts:
            raise EmptyTarget(asked, len(named))
        target = Target(
            aggregates=tuple(each.name for each in aggregates),
            cells=asked.cells,
            hosts=asked.hosts,
            exclude_hosts=asked.exclude_hosts,
        )
        if target.is_one_aggregate:
            return fields_for_aggregate(aggregates[0])
        return {"hosts": hosts, "target": target, "for_host": hosts[0] if target.is_one_host else None}

    def _find_aggregates(self, texts: Sequence[str]) -> list[Aggregate]:
        """Return the aggregates, each once: found by id, else by UUID, else by name."""
        if not texts:
            return []
        known = self._aggregates.list_aggregates()
        by_text: dict[str, Aggregate] = {}
        for field in ("id", "uuid", "name"):
            for aggregate in known:
                by_text.setdefault(str(getattr(aggregate, field)), aggregate)
        unknown = [text for text in texts if text not in by_text]
        if unknown:
            raise UnknownAggregates(unknown)
        return list({by_text[text].id: by_text[text] for text in texts}.values())

    def _hosts_in(self, cells: Sequence[str]) -> list[str]:
        """Return the hosts of the cells, by name. A cell without hosts counts as unknown."""
        if not cells:
            return []
        hosts = self._hosts.list_hosts()
        known = {host.cell for host in hosts}
        unknown = [cell for cell in cells if cell not in known]
        if unknown:
            raise UnknownCells(unknown)
        return [host.name for host in hosts if host.cell in cells]

    def _check_hosts(self, names: Iterable[str]) -> None:
        """Raise UnknownHosts for unknown names; for a single one with similar names."""
        asked = list(dict.fromkeys(names))
        known = self._hosts.find_hosts([name for name in asked if is_name(name)])
        unknown = [name for name in asked if name not in known]
        if len(unknown) == 1:
            raise UnknownHosts(unknown, get_close_matches(unknown[0], [host.name for host in self._hosts.list_hosts()]))
        if unknown:
            raise UnknownHosts(unknown)


def fields_for_aggregate(aggregate: Aggregate) -> dict[str, Any]:
    """Return the fields of a job for all hosts of one aggregate, which may be none."""
    return {
        "hosts": aggregate.hosts,
        "target": Target(aggregates=(aggregate.name,)),
        "aggregate_id": aggregate.id,
        "aggregate_uuid": aggregate.uuid,
        "aggregate_name": aggregate.name,
        "aggregate_metadata": aggregate.metadata,
    }
