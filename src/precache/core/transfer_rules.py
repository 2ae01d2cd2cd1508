"""How it is configured which hosts get images by swarm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from precache.core.job_options import Transfer


@dataclass(frozen=True, slots=True)
class TransferRules:
    """What is configured.

    transfer: for jobs that do not choose. by_site: in its place, for single sites. min_hosts: the fewest hosts of a
        site for which AUTO means a swarm.
    attestations: how many hosts of a site fetch an image from the image service, and must agree.
    site_parents: by site, the one from which its hosts may receive images; a tree.
    """

    transfer: Transfer = Transfer.AUTO
    by_site: Mapping[str, Transfer] = field(default_factory=dict)
    min_hosts: int = 3
    attestations: int = 1
    site_parents: Mapping[str, str] = field(default_factory=dict)
