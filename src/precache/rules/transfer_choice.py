"""From where the hosts of a job get its images, site by site: each from the image service, or from each other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from precache.core.host_calls import Place
from precache.core.hosts import Host
from precache.core.job_options import Transfer
from precache.core.orders import ImageOrder
from precache.core.text import number_of
from precache.core.transfer_rules import TransferRules
from precache.rules.relay_sites import sites_above, top_site
from precache.rules.rpc_versions import understands

_DRIVERS_WITHOUT_CACHE = frozenset({"uncached"})


@dataclass(frozen=True, slots=True)
class SwarmHost:
    """A host of a job, as far as the choice is concerned. cache_id: empty if it shares its cache with no other."""

    place: Place
    can_take_part: bool
    cache_id: str = ""


@dataclass(frozen=True, slots=True)
class TransferChoice:
    """The choice for one site, for all images of the job. reason: why, in words."""

    by_swarm: bool
    reason: str


def can_take_part(host: Host, needed: str, pin: str | None = None) -> bool:
    """Return whether the host, which is up, can pass images on.

    needed: the version of the messages that it must understand; empty if there are none between the processes.
    pin: the newest version that may be used, if an operator has limited it.
    """
    if host.driver in _DRIVERS_WITHOUT_CACHE or (pin is not None and not understands(pin, needed)):
        return False
    return not needed or understands(host.rpc_version, needed)


def choose_transfers(option: Transfer, rules: TransferRules, hosts: Iterable[SwarmHost]) -> dict[Place, TransferChoice]:
    """Return the choice for each site of the hosts. option: of the job. hosts: all of the job that are up.

    Hosts that share a cache count as one. Sites of one name in two cells are two sites. The sites of a tree count
    together, because they share the image.
    """
    able: dict[Place, bool] = {}
    of_tree: dict[Place, set[object]] = {}
    for number, host in enumerate(hosts):
        able[host.place] = able.get(host.place, False) or host.can_take_part
        caches = of_tree.setdefault(place_of_relay(host.place, rules), set())
        if host.can_take_part:
            caches.add(host.cache_id or number)
    return {
        place: _choice(option, rules, place.site, len(of_tree[place_of_relay(place, rules)]) if is_able else 0)
        for place, is_able in able.items()
    }


def place_of_relay(place: Place, rules: TransferRules) -> Place:
    """Return the site in whose relays hosts at this place take part: that at the top of its tree."""
    return Place(place.cell, top_site(place.site, sites_above(place.site, rules.site_parents)))


def by_swarm(order: ImageOrder) -> ImageOrder:
    """Return the order for a host that gets the image by swarm."""
    return replace(order, options=replace(order.options, by_swarm=True))


def _choice(option: Transfer, rules: TransferRules, site: str, able: int) -> TransferChoice:
    chosen, by = option, "the job says so"
    if chosen is Transfer.AUTO and (of_site := rules.by_site.get(site)) is not None:
        chosen, by = of_site, f"[swarm] site_transfer says so for {site}"
    elif chosen is Transfer.AUTO:
        chosen, by = rules.transfer, "[swarm] transfer says so"
    if chosen is Transfer.DIRECT:
        return TransferChoice(False, by)
    if not able:
        return TransferChoice(False, "no host that is up can pass images on")
    can_pass = f"{number_of(able, 'host')} can pass images on, and [swarm]"
    if able < rules.attestations:
        return TransferChoice(False, f"{can_pass} attestations is {rules.attestations}")
    if chosen is Transfer.SWARM:
        return TransferChoice(True, by)
    return TransferChoice(able >= rules.min_hosts, f"{can_pass} min_hosts is {rules.min_hosts}")
