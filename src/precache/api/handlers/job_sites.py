"""The relays of a job: how its images go through the hosts of each site."""

from __future__ import annotations

from typing import Any

from precache.api.calls import Answer, Call
from precache.api.handlers.job_ids import parse_job_id
from precache.api.handlers.pages import page
from precache.api.handlers.views import rfc3339
from precache.core.errors import RelayNotFound
from precache.core.relays import MemberState, Relay, RelayMember
from precache.ports.job_store import JobQueries
from precache.ports.relay_store import RelayQueries
from precache.rules.relay_chain import ChainHost, chain_of
from precache.rules.relay_sites import sites_of


class JobSites:
    """The operation. queries: says which jobs there are."""

    def __init__(self, *, queries: JobQueries, relays: RelayQueries) -> None:
        self._queries = queries
        self._relays = relays

    def index(self, call: Call) -> Answer:
        """List the relays in which hosts of the job take part, by site and image, with all their hosts.

        A page at a time: `marker` is the id of the last relay of the page before.
        """
        job, marker = self._queries.get(parse_job_id(call.params["job_id"])), call.query.get("marker")
        cell, site = call.query.get("cell"), call.query.get("site")
        found = [
            relay
            for relay in self._relays.relays_of_job(job.id)
            if cell in (None, relay.key.cell) and (site is None or site in sites_of(relay))
        ]
        return page(
            call,
            "sites",
            f"/v1/jobs/{job.id}/sites",
            items=lambda limit: _after(found, marker)[:limit],
            view=lambda relay: _relay_view(relay, job.image_names.get(relay.key.image)),
            marker=lambda relay: relay.id,
        )


def _after(relays: list[Relay], marker: str | None) -> list[Relay]:
    """Return those after the one of the marker; all without a marker. Raises RelayNotFound."""
    if marker is None:
        return relays
    ids = [relay.id for relay in relays]
    if marker not in ids:
        raise RelayNotFound(marker)
    return relays[ids.index(marker) + 1 :]


def _relay_view(relay: Relay, image_name: str | None) -> dict[str, Any]:
    chain = chain_of(relay)
    seeders = [each.member.host for each in chain if each.depth == 0]
    return {
        "cell": relay.key.cell,
        "site": relay.key.site,
        "image": relay.key.image,
        "image_name": image_name,
        "form": relay.key.form.value,
        "size_bytes": relay.size_bytes or None,
        "root": relay.root or None,
        "attestations": relay.attestations,
        "reason": relay.reason,
        "seeders": seeders,
        "host_count": len(chain),
        "complete": sum(_has_all(each.member, relay) for each in chain),
        "lag_bytes": max((each.lag_bytes for each in chain if each.lag_bytes is not None), default=None),
        "created_at": rfc3339(relay.created_at),
        "hosts": [_host_view(each, relay.key.site) for each in chain],
    }


def _has_all(member: RelayMember, relay: Relay) -> bool:
    """Return whether the host has every piece, or had when it left: hosts leave once they serve the image no more."""
    is_whole = bool(relay.root) and 0 < relay.size_bytes <= member.have_bytes
    return member.state is MemberState.COMPLETE or (member.state is MemberState.LEFT and is_whole)


def _host_view(host: ChainHost, site: str) -> dict[str, Any]:
    member = host.member
    return {
        "host": member.host,
        "site": member.site or site,
        "state": member.state.value,
        "source": member.source.value,
        "parent": member.parent or None,
        "depth": host.depth,
        "is_leaf": member.is_leaf,
        "have_bytes": member.have_bytes,
        "lag_bytes": host.lag_bytes,
        "lag_s": None if host.lag_s is None else round(host.lag_s, 2),
        "rate_bytes_per_s": member.rate_bytes_per_s or None,
        "lost": list(member.lost),
        "reported_at": rfc3339(member.reported_at),
    }
